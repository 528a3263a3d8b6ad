"""The process that runs the tools: loads the code, reports the tools, answers calls. Forked by the template.

Coroutine functions run on its event loop, all others in its threads; a ping is answered by the loop, so a loop or an
interpreter that a tool holds shows as silence and the front turns to a fresh worker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastmcp.exceptions import ToolError, ValidationError  # noqa: TID253  # the server's side: only the server imports this module
from fastmcp.tools import ToolResult  # noqa: TID253  # as above
from mcp_types import CallToolResult
from pydantic import ValidationError as PydanticValidationError
from pydantic_core import from_json, to_json

from kaos_runtime_rawpython import limits
from kaos_runtime_rawpython.arguments import MAX_ARGUMENTS, what_is_invalid
from kaos_runtime_rawpython.channel import PACKET_BYTES, Assembler, Kind, Sender
from kaos_runtime_rawpython.config import Config, scrub
from kaos_runtime_rawpython.exits import StartError
from kaos_runtime_rawpython.source import FILENAME, one_line
from kaos_runtime_rawpython.tools import LoadedTool, build_tools, line_in_code, run_module

THREADS = 32
"""Plain functions that one worker runs at once; the front sends no more."""
# 8 MiB each, the usual default, would take a quarter of the memory limit.
_STACK_BYTES = 2 << 20


def run_worker(config: Config, code: str, sock: socket.socket, template: int, *, is_first: bool) -> None:
    """The whole life of a worker; returns when the front has closed the connection.

    Args:
        config: what the server was told.
        code: the Python code of the tools.
        sock: the worker's end of its channel.
        template: the parent's process id.
        is_first: tell once what only the log of the first worker needs to hold.
    """
    os.setsid()
    limits.die_with_parent(template)
    _rewire(config)
    log = _say if is_first else _silent
    threading.stack_size(_STACK_BYTES)
    limits.limit_worker(config.tool_memory)
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="tool")
    if config.tool_processes and limits.limit_tasks(config.tool_processes):
        _start_threads(executor, log)
    sender = Sender(sock)
    loop = asyncio.new_event_loop()
    try:
        tools = _load(config, code, sender, loop, log)
    except StartError as error:
        sender.send(Kind.FAILED, 0, to_json({"reason": error.reason, "message": error.message}))
        return
    sender.send(Kind.LOADED, 0, to_json([tool.report() for tool in tools.values()]))
    _Calls(config, tools, sock, sender, loop, executor).serve()


def _rewire(config: Config) -> None:
    """No input, output to the log, and none of the server's own variables."""
    scrub(os.environ)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    # Prints of two threads, or of a process that is killed, should be whole lines.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]  # text files here
    logging.basicConfig(
        level=config.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )


def _say(line: str) -> None:
    sys.stderr.write(f"rawpython: {line}\n")


def _silent(line: str) -> None:
    """A re-forked worker would say the same lines again."""


def _start_threads(executor: ThreadPoolExecutor, log: Callable[[str], None]) -> None:
    """Start every thread now, while the user's tasks are few.

    In a cluster the kernel counts the tasks of all pods with this uid together, which /proc in a pod does not show: if
    the limit leaves no room for our own threads it is that, and no limit is better than no server.
    """
    barrier = threading.Barrier(THREADS)
    try:
        for _ in range(THREADS):
            executor.submit(barrier.wait)
    except RuntimeError:
        limits.lift_task_limit()
        barrier.abort()
        log("no process limit: other programs run as this user; set podPidsLimit in the kubelet instead")
    else:
        limits.seal_task_limit()


def _load(
    config: Config, code: str, sender: Sender, loop: asyncio.AbstractEventLoop, log: Callable[[str], None]
) -> dict[str, LoadedTool]:
    main_thread = threading.get_ident()

    def give_up() -> None:
        frame, line = sys._current_frames().get(main_thread), 1
        while frame is not None:
            if frame.f_code.co_filename == FILENAME:
                line = frame.f_lineno
                break
            frame = frame.f_back
        message = f"line {line}: the top-level code still ran after {config.load_timeout:g} s; move it into a function"
        sender.send(Kind.FAILED, 0, to_json({"reason": "InvalidCode", "message": message}))
        os._exit(1)

    # A thread, not an alarm signal: the code may block signals or catch what their handler raises.
    watchdog = threading.Timer(config.load_timeout, give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        return build_tools(run_module(code), loop, log)
    finally:
        watchdog.cancel()


class _Calls:
    """Reads calls one by one and starts each at once, so that what is unread has not begun."""

    def __init__(
        self,
        config: Config,
        tools: dict[str, LoadedTool],
        sock: socket.socket,
        sender: Sender,
        loop: asyncio.AbstractEventLoop,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._config = config
        self._tools = tools
        self._sock = sock
        self._sender = sender
        self._loop = loop
        self._executor = executor
        self._assembler = Assembler(MAX_ARGUMENTS)
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.add_reader(self._sock, self._read)
        self._loop.run_forever()

    def _read(self) -> None:
        try:
            packet = self._sock.recv(PACKET_BYTES + 64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # the front took it back
        if not packet:
            self._loop.stop()
            return
        message = self._assembler.feed(packet)
        if message is None:
            return
        if message.kind == Kind.PING:
            self._sender.send(Kind.PONG, message.id)
        elif message.kind == Kind.CALL:
            self._start(message.id, message.payload)

    def _start(self, id_: int, payload: bytes) -> None:
        call = from_json(payload)
        loaded = self._tools.get(call["tool"])
        if loaded is None:
            self._answer(id_, _failure("unknown", f"Unknown tool: {one_line(call['tool'], 80)!r}"))
        elif loaded.is_async:
            task = self._loop.create_task(self._run_async(id_, loaded, call["arguments"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            try:
                self._executor.submit(self._run_sync, id_, loaded, call["arguments"])
            except RuntimeError as error:
                self._answer(id_, _failure("tool", f"Error calling tool {call['tool']!r}: {error}"))

    async def _run_async(self, id_: int, loaded: LoadedTool, arguments: dict[str, Any]) -> None:
        try:
            answer = self._success(loaded, await loaded.tool.run(arguments))
        except BaseException as error:  # noqa: BLE001  # whatever a tool raises, SystemExit too, is its answer
            answer = self._error(loaded, error)
        self._answer(id_, answer)

    def _run_sync(self, id_: int, loaded: LoadedTool, arguments: dict[str, Any]) -> None:
        try:
            answer = self._success(loaded, _finish(loaded.tool.run(arguments)))
        except BaseException as error:  # noqa: BLE001  # as above
            answer = self._error(loaded, error)
        self._answer(id_, answer)

    def _answer(self, id_: int, answer: bytes) -> None:
        try:
            self._sender.send(Kind.RESULT, id_, answer)
        except (BrokenPipeError, ConnectionResetError):
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _success(self, loaded: LoadedTool, result: ToolResult) -> bytes:
        made = result.to_mcp_result()
        if isinstance(made, CallToolResult):
            fields = made.model_dump(mode="json", by_alias=True, exclude_none=True)
        else:
            content, structured = made if isinstance(made, tuple) else (made, None)
            fields = {"content": [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in content]}
            if structured is not None:
                fields["structuredContent"] = structured
        answer = to_json({"result": fields}, inf_nan_mode="null")
        if len(answer) > self._config.max_result:
            limit = f"{self._config.max_result:,}"
            return _failure(
                "tool", f"The result of tool {loaded.tool.name!r} has {len(answer):,} bytes; the limit is {limit}"
            )
        return answer

    def _error(self, loaded: LoadedTool, error: BaseException) -> bytes:
        name = loaded.tool.name
        if isinstance(error, ValidationError) and isinstance(error.__cause__, PydanticValidationError):
            return _failure("arguments", what_is_invalid(name, error.__cause__))
        if isinstance(error, ToolError):
            text = str(error)
            return _failure("tool", text if len(text) <= self._config.max_result // 8 else one_line(text))
        cause = error.__cause__ if type(error).__name__ == "_ToolBodyError" and error.__cause__ else error
        kind, line = type(cause).__name__, line_in_code(error)
        # Type and line only: the message may hold a secret (catalogue, B67).
        _say(f"tool {name} failed: {kind} at line {line}" if line else f"tool {name} failed: {kind}")
        if self._config.log_level == "DEBUG":
            traceback.print_exception(error)
        return _failure("tool", f"Error calling tool {name!r}: {kind}")


def _finish(run: Coroutine[Any, Any, ToolResult]) -> ToolResult:
    """Run a coroutine that has nothing to wait for: FastMCP's `run()` around a plain function."""
    try:
        run.send(None)
    except StopIteration as done:
        result: ToolResult = done.value
        return result
    run.close()
    raise ToolError("The function returned something to be awaited; write it as `async def`")


def _failure(kind: str, message: str) -> bytes:
    return to_json({"error": {"kind": kind, "message": message}})
