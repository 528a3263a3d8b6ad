"""The front's side of the calls: which worker gets them, when a worker is given up, when the next one is forked.

A call is sent to one worker and never to a second, unless the first has provably not read it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
from collections import deque
from typing import Any

from pydantic_core import from_json

from kaos_runtime_rawpython import limits
from kaos_runtime_rawpython.arguments import ArgumentsError, call_payload
from kaos_runtime_rawpython.channel import Kind, Message, ProtocolError, socket_pair
from kaos_runtime_rawpython.config import MIB, Config
from kaos_runtime_rawpython.exits import StartError
from kaos_runtime_rawpython.worker import THREADS
from kaos_runtime_rawpython.workers import Call, State, Worker

log = logging.getLogger("kaos.rawpython")

WATCH_SECONDS = 0.1
SATURATED_SECONDS = 0.5
"""All threads busy and none finished for so long: the calls that wait get a fresh worker."""
MAX_WORKERS = 8
"""Alive at once, retired ones included; beyond that calls wait."""
READY_SECONDS = 0.8
"""Below the second that the kubelet waits for a probe."""
BURST, REFILL_SECONDS = 5, 1.0
"""Forks at once, and the seconds after which one more is allowed: a tool that kills each worker cannot spin."""
MAX_RETRY_SECONDS = 30.0
"""Between attempts to load code that loaded once and does not now."""

Answer = dict[str, Any]


def failure(kind: str, message: str) -> Answer:
    """An answer in the form the worker gives its own errors."""
    return {"error": {"kind": kind, "message": message}}


class Pool:
    """The workers of one server. All methods belong to the front's event loop.

    Attributes:
        tools: what the first worker reported, by name; empty before that.
        loaded: done when the first worker has loaded the code; its exception is the `StartError` if it could not.
    """

    def __init__(self, config: Config, template: int, control: socket.socket) -> None:
        self._config = config
        self._template = template
        self._control = control
        self._ids = itertools.count(1)
        self._workers: dict[int, Worker] = {}
        self._current: Worker | None = None
        self._waiting: deque[Call] = deque()
        self._tokens = float(BURST)
        self._refilled = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._closing = False
        self._load_failures = 0
        self.tools: dict[str, dict[str, Any]] = {}
        self.why_not_ready = "the code is being loaded"

    def start(self) -> None:
        """Fork the first worker; in the loop that will serve."""
        self._loop = asyncio.get_running_loop()
        self.loaded: asyncio.Future[None] = self._loop.create_future()
        self.broken: asyncio.Future[None] = self._loop.create_future()
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._template_says)
        self._refilled = self._loop.time()
        self._fork_if_needed()

    async def call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        """Run a tool: `{"result": CallToolResult}` or `{"error": {"kind", "message"}}`.

        Kinds: `unknown`, `arguments`, `tool`, `timeout`.
        """
        try:
            payload = call_payload(tool, arguments)
        except ArgumentsError as error:
            return failure("arguments", str(error))
        call = Call(next(self._ids), tool, self.tools[tool]["is_async"], payload, self._loop.create_future())
        call.deadline = self._loop.call_later(self._config.tool_timeout, self._timed_out, call)
        self._waiting.append(call)
        self._pump()
        return await call.future

    async def answers(self) -> bool:
        """Whether a worker gives a sign of life in time for a probe; one that does not is given up."""
        deadline = self._loop.time() + READY_SECONDS
        asked: Worker | None = None
        while not self.why_not_ready and self._loop.time() < deadline:
            worker = self._current
            if worker is not None and worker.state is State.SERVING:
                if worker is asked and not worker.pinging:
                    return True
                if not worker.pinging:
                    worker.send_ping(self._loop.time())
                elif worker.is_held(self._loop.time()):
                    self._retire(worker, "it does not answer")
                asked = worker
            await asyncio.sleep(0.005)
        return False

    def close(self) -> None:
        """End the template, and with it every worker and what their tools started."""
        self._closing = True
        if self._retry:
            self._retry.cancel()
        self._loop.remove_reader(self._control)
        self._control.close()
        self._fail_all("the server is shutting down")
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        os.waitpid(self._template, 0)
        # Had the template been killed, what its workers left would be ours now.
        limits.end_children()

    # Choosing

    def _pump(self) -> None:
        """Send what waits, in order, as far as there is somebody to send it to."""
        while self._waiting:
            call = self._waiting[0]
            if call.future.done():
                self._waiting.popleft()
                continue
            worker = self._current
            if worker is None or worker.state is not State.SERVING:
                if self._load_failures:
                    self._waiting.popleft().finish(failure("tool", self.why_not_ready))
                    continue
                self._fork_if_needed()
                return
            if not call.is_async and worker.threads_busy >= THREADS:
                return  # an answer, or the watch, goes on from here
            self._waiting.popleft()
            worker.send_call(call)
            if worker.watch is None:
                worker.last_answer = self._loop.time()
                worker.watch = self._loop.call_later(WATCH_SECONDS, self._watch, worker)

    def _watch(self, worker: Worker) -> None:
        """While it has calls: is it alive, is it full? Runs after the loop has read what arrived meanwhile."""
        worker.watch = None
        if worker.state is not State.SERVING or not worker.inflight:
            return
        now = self._loop.time()
        if worker.is_held(now):
            self._retire(worker, "a tool holds it, it does not answer")
            return
        if self._waiting and worker.threads_busy >= THREADS and now - worker.last_answer >= SATURATED_SECONDS:
            self._retire(worker, f"all of its {THREADS} threads are busy")
            return
        if not worker.pinging:
            worker.send_ping(now)
        worker.watch = self._loop.call_later(WATCH_SECONDS, self._watch, worker)

    def _retire(self, worker: Worker, why: str) -> None:
        """Nothing new for this one. What it has not read goes to the next, what it runs may finish."""
        if worker.state is not State.SERVING:
            return
        log.warning("worker %d gets no new calls: %s", worker.id, why)
        worker.state = State.RETIRED
        if worker is self._current:
            self._current = None
        # Forks after a death are what must not spin; a tool needs longer to be given up than a fork takes.
        self._tokens += 1
        self._waiting.extendleft(reversed(worker.take_back()))
        self._end_if_idle(worker)
        self._fork_if_needed()

    def _end_if_idle(self, worker: Worker) -> None:
        if worker.state is State.RETIRED and not worker.inflight:
            self._tell({"kill": worker.id})

    # Forking

    def _fork_if_needed(self) -> None:
        if self._current is not None or self._closing or self._retry is not None or len(self._workers) >= MAX_WORKERS:
            return
        now = self._loop.time()
        self._tokens = min(BURST, self._tokens + (now - self._refilled) / REFILL_SECONDS)
        self._refilled = now
        if self._tokens < 1:
            self._retry = self._loop.call_later((1 - self._tokens) * REFILL_SECONDS, self._try_again)
            return
        self._tokens -= 1
        ours, theirs = socket_pair()
        limit = self._config.max_result + MIB
        worker = Worker(next(self._ids), ours, theirs, limit, self._message, self._breach)
        worker.open(self._loop)
        self._workers[worker.id] = self._current = worker
        self._tell({"spawn": worker.id}, theirs)
        # The worker keeps the time itself and knows the line; this is for code that holds the interpreter.
        worker.watch = self._loop.call_later(self._config.load_timeout + 0.5, self._load_overdue, worker)

    def _try_again(self) -> None:
        self._retry = None
        self._fork_if_needed()

    def _load_overdue(self, worker: Worker) -> None:
        worker.watch = None
        if worker.state is State.LOADING:
            message = f"the top-level code still ran after {self._config.load_timeout:g} s; move it into a function"
            self._load_failed(worker, StartError("InvalidCode", message))

    def _load_failed(self, worker: Worker, error: StartError) -> None:
        worker.state = State.RETIRED
        if worker is self._current:
            self._current = None
        if not self.loaded.done():
            self._closing = True
            self.loaded.set_exception(error)
        else:
            # It loaded before, so the code depends on something outside: say so, and try again ever more rarely.
            log.error("worker %d could not load the code: %s", worker.id, error)
            self.why_not_ready = f"the code could not be loaded again: {error}"
            self._load_failures += 1
            self._tokens = 1 - min(2.0**self._load_failures, MAX_RETRY_SECONDS) / REFILL_SECONDS
            self._pump()
        self._end_if_idle(worker)
        self._fork_if_needed()

    # What the others say

    def _message(self, worker: Worker, message: Message) -> None:
        try:
            if message.kind == Kind.RESULT:
                self._answered(worker, message)
            elif message.kind == Kind.PONG:
                worker.pinging = False
            elif worker.state is State.LOADING:
                self._load_report(worker, message)
        except (ValueError, KeyError, TypeError) as error:
            self._breach(worker, ProtocolError(f"a message that is no answer ({type(error).__name__})"))

    def _answered(self, worker: Worker, message: Message) -> None:
        answer = from_json(message.payload)
        if not isinstance(answer, dict):
            raise TypeError
        call = worker.settle(message.id)
        worker.last_answer = self._loop.time()
        if call is not None:
            call.finish(answer)
        if worker.state is State.RETIRED:
            self._end_if_idle(worker)
        elif self._waiting:
            self._pump()

    def _load_report(self, worker: Worker, message: Message) -> None:
        report = from_json(message.payload)
        if worker.watch:
            worker.watch.cancel()
            worker.watch = None
        if message.kind == Kind.FAILED:
            self._load_failed(worker, StartError(str(report["reason"]), str(report["message"])))
            return
        worker.state = State.SERVING
        self._load_failures = 0
        self.why_not_ready = ""
        if not self.loaded.done():
            self.tools = {tool["name"]: tool for tool in report}
            self.loaded.set_result(None)
        self._pump()

    def _breach(self, worker: Worker, breach: ProtocolError) -> None:
        log.error("worker %d is ended: it sent %s", worker.id, breach)
        self._fail_inflight(worker, f"the tool's process sent {breach}")
        self._retire(worker, "it broke the protocol")
        self._tell({"kill": worker.id})

    def _timed_out(self, call: Call) -> None:
        text = f"Tool {call.tool!r} timed out after {self._config.tool_timeout:g} s"
        call.finish(failure("timeout", text))
        for worker in list(self._workers.values()):
            if worker.settle(call.id) is not None:
                log.warning("%s", text)
                self._retire(worker, "a call timed out in it")
                self._end_if_idle(worker)

    def _template_says(self) -> None:
        try:
            packet = self._control.recv(4096)
        except BlockingIOError:
            return
        if not packet:
            self._loop.remove_reader(self._control)
            self._lost()
            return
        report = json.loads(packet)
        if "forked" in report:
            if report["forked"] in self._workers:
                self._workers[report["forked"]].pid = report["pid"]
            return
        worker = self._workers.pop(report["exited"], None)
        if worker is None:
            return
        worker.read_all()
        how = _how_it_ended(report["status"])
        if worker.state is State.LOADING:
            self._load_failed(worker, StartError("InvalidCode", f"the process ended while the code was loaded ({how})"))
        expected = worker.state is State.RETIRED
        if worker is self._current:
            self._current = None
        self._waiting.extendleft(reversed(worker.take_back()))
        if not expected or worker.inflight:
            log.warning("worker %d ended: %s", worker.id, how)
        self._fail_inflight(worker, f"the tool's process ended ({how})")
        worker.close()
        self._fork_if_needed()

    def _lost(self) -> None:
        """Without the template there are no workers any more: the kernel has ended them with it."""
        if not self.broken.done():
            self._closing = True
            self.broken.set_result(None)
            self._fail_all("the process that forks workers is gone")

    def _fail_all(self, why: str) -> None:
        for worker in list(self._workers.values()):
            self._fail_inflight(worker, why)
        while self._waiting:
            self._waiting.popleft().finish(failure("tool", f"Tools cannot be called: {why}"))

    def _fail_inflight(self, worker: Worker, why: str) -> None:
        for call in list(worker.inflight.values()):
            worker.settle(call.id)
            call.finish(failure("tool", f"Error calling tool {call.tool!r}: {why}"))

    def _tell(self, command: dict[str, int], *handles: socket.socket) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(command).encode()], [handle.fileno() for handle in handles])
        except (BlockingIOError, ConnectionError) as error:
            log.error("the template does not take commands: %s", error)
            self._lost()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
