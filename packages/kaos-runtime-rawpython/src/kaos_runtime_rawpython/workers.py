"""The front's view of one worker: what it was sent, what it still owes, and how to take back what it has not read."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kaos_runtime_rawpython.channel import (
    PACKET_BYTES,
    Assembler,
    Kind,
    Message,
    ProtocolError,
    finished_call,
    packets,
)
from kaos_runtime_rawpython.silence import SILENCE_SECONDS, is_held, processor_seconds


@dataclass(eq=False)
class Call:
    """One call on its way. `future` gets what the worker answered: `{"result": …}` or `{"error": {kind, message}}`."""

    id: int
    tool: str
    is_async: bool
    payload: bytes
    future: asyncio.Future[dict[str, Any]]
    deadline: asyncio.TimerHandle | None = None

    def finish(self, answer: dict[str, Any]) -> None:
        """Give the answer, unless the caller has left or has one."""
        if self.deadline:
            self.deadline.cancel()
        if not self.future.done():
            self.future.set_result(answer)


class State(Enum):
    """A worker's life: loading the code, serving, retired (finishes what it has, gets nothing new), gone."""

    LOADING = 1
    SERVING = 2
    RETIRED = 3
    GONE = 4


@dataclass(eq=False)
class Worker:
    """One worker process and the connection to it.

    Args:
        ours: the front's end.
        pid: of the process, once the template has told it; 0 before.
        theirs: a second handle on the worker's end. Reading from it takes packets away before the worker sees them:
            the kernel gives each packet to one of the two, so a call that was taken back was not and will not be run.
    """

    id: int
    ours: socket.socket
    theirs: socket.socket
    limit: int
    on_message: Callable[[Worker, Message], None]
    on_breach: Callable[[Worker, ProtocolError], None]
    pid: int = 0
    state: State = State.LOADING
    inflight: dict[int, Call] = field(default_factory=dict)
    threads_busy: int = 0
    ping_sent: float = 0.0
    ping_used: float = 0.0
    pinging: bool = False
    last_answer: float = 0.0
    watch: asyncio.TimerHandle | None = None
    _outgoing: deque[bytes] = field(default_factory=deque)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to listen."""
        self._loop = loop
        self._assembler = Assembler(self.limit)
        loop.add_reader(self.ours, self._readable)

    def send_call(self, call: Call) -> None:
        """Hand a call over."""
        self.inflight[call.id] = call
        self.threads_busy += not call.is_async
        self._send(packets(Kind.CALL, call.id, call.payload))

    def send_ping(self, now: float) -> None:
        """Ask for a sign of life; the PONG is a message like others."""
        self.pinging, self.ping_sent = True, now
        self.ping_used = processor_seconds(self.pid)
        self._send(packets(Kind.PING, 0))

    def is_held(self, now: float) -> bool:
        """Whether it has been asked and cannot answer."""
        silent = self.pinging and now - self.ping_sent >= SILENCE_SECONDS
        return silent and is_held(self.pid, self.ping_used)

    def settle(self, id_: int) -> Call | None:
        """The call with that id, no longer in flight."""
        call = self.inflight.pop(id_, None)
        if call is not None:
            self.threads_busy -= not call.is_async
        return call

    def take_back(self) -> list[Call]:
        """The calls that the worker has not read, in their order, no longer in flight."""
        unread = list(self._outgoing)
        self._outgoing.clear()
        self._loop.remove_writer(self.ours)
        while True:
            try:
                unread.append(self.theirs.recv(PACKET_BYTES + 64, socket.MSG_DONTWAIT))
            except (BlockingIOError, ConnectionError):
                break
        ids = sorted(id_ for packet in unread if (id_ := finished_call(packet)) is not None)
        return [call for id_ in ids if (call := self.settle(id_)) is not None]

    def read_all(self) -> None:
        """Handle what the worker wrote before it ended."""
        while self.state is not State.GONE and self._readable():
            pass

    def close(self) -> None:
        """Forget the connection; the worker's next read ends it."""
        self.state = State.GONE
        if self.watch:
            self.watch.cancel()
        self._loop.remove_reader(self.ours)
        self._loop.remove_writer(self.ours)
        self.ours.close()
        self.theirs.close()

    def _send(self, out: Any) -> None:
        waiting = bool(self._outgoing)
        self._outgoing.extend(out)
        if not waiting:
            self._flush()

    def _flush(self) -> None:
        while self._outgoing:
            try:
                self.ours.send(self._outgoing[0], socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._loop.add_writer(self.ours, self._flush)
                return
            except ConnectionError:
                return  # the template reports its end
            self._outgoing.popleft()
        self._loop.remove_writer(self.ours)

    def _readable(self) -> bool:
        try:
            packet = self.ours.recv(PACKET_BYTES + 64, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):
            return False
        if not packet:
            self._loop.remove_reader(self.ours)
            return False
        try:
            message = self._assembler.feed(packet)
        except ProtocolError as breach:
            self.on_breach(self, breach)
            return False
        if message is not None:
            self.on_message(self, message)
        return True
