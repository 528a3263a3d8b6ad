"""One request on its way through the proxy: rules before, the server, rules after, the response."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from faultproxy.actions import Answer, Call, Delay, Drop, HalfOpen, Record, Replay, Tape, Truncate
from faultproxy.lines import CloseWatch, DuplicateLines, HoldLines, Inject, LoseLines, OfLines
from faultproxy.recording import Request
from faultproxy.rules import Action, Handle
from faultproxy.stream import WatchStream
from faultproxy.wire import Body, Framing, Head, Stream, read_head


class DroppedError(Exception):
    """The client's connection has to end now."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("dropped")
        self.reset = reset


class Link:
    """The connection to the server that belongs to one connection of a client; opened when needed, and again."""

    def __init__(self, connect: Callable[[], Awaitable[Stream]]) -> None:
        self._connect = connect
        self._stream: Stream | None = None

    async def open(self) -> Stream:
        """The stream, fit for a new request. Raises OSError."""
        if self._stream is not None and self._stream.ended:
            await self.drop()
        if self._stream is None:
            self._stream = await self._connect()
        return self._stream

    async def drop(self) -> None:
        """End it, in the middle of whatever is under way."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
            await stream.gone()


class Exchange:
    """A request, its rules and its response."""

    def __init__(
        self, request: Request, head: Head, client: Stream, link: Link, rules: Callable[[], tuple[Handle, ...]]
    ) -> None:
        self.request = request
        self.link = link
        self._head = head
        self._client = client
        self._rules = rules
        self._body = Body(client.reader, Framing.of_request(head))
        self._stalls: list[Handle] = []
        self._met: set[Handle] = set()
        self._tapes: list[Tape] = []
        self._cut: Truncate | None = None
        self._lines: list[tuple[Handle, OfLines]] = []
        self._stream: WatchStream | None = None

    async def run(self) -> bool:
        """Do it. Returns whether the client's connection may serve another request.

        Raises:
            DroppedError: the connection has to end.
            CutError, OSError: a connection ended by itself.
        """
        if await self._apply("before"):
            return not self._head.closes and self._body.ended
        await self.passable()
        try:
            server = await self.link.open()
        except OSError as error:
            self.request.faults.append(f"server not reached: {error}")
            raise DroppedError from error
        server.write(self._head.encode())
        sending = asyncio.create_task(self._send_body(server))
        try:
            keep = await self._respond(server)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return keep and not self._head.closes and self._body.ended

    def join(self, handle: Handle) -> None:
        """A rule that concerns requests under way has come."""
        if handle in self._met:
            return
        actions = handle.rule.actions
        of_lines = any(not isinstance(action, HalfOpen) for action in actions)
        if (of_lines and self._stream is None) or not handle.claims(self.request):
            return
        self._met.add(handle)
        for action in actions:
            self.request.faults.append(type(action).__name__)
            if isinstance(action, HalfOpen):
                self._stalls.append(handle)
            elif self._stream is not None and isinstance(action, OfLines):
                self._stream.join(handle, action)

    def leave(self, handle: Handle) -> None:
        """A rule is no longer in force."""
        if self._stream is not None:
            self._stream.leave(handle)

    async def passable(self) -> None:
        """Wait while bytes may not pass; for ever when the connection is dead."""
        while self._stalls:
            handle = self._stalls[0]
            await handle.removed.wait()
            if not all(action.revive for action in handle.rule.actions if isinstance(action, HalfOpen)):
                await asyncio.Event().wait()  # until the client gives up or the proxy ends
            self._stalls.remove(handle)

    async def tell(self, data: bytes) -> None:
        """Send to the client. Raises ConnectionError."""
        await self.passable()
        await self._client.send(data)

    async def tell_head(self, head: Head) -> None:
        """Begin the response."""
        await self.passable()
        self.request.status = head.status  # first: who has the answer may ask for the record
        await self.tell(head.encode())

    async def _apply(self, when: Literal["before", "after"]) -> bool:
        """Ask the rules. Returns whether the client has its answer."""
        for handle in self._rules():
            rule = handle.rule
            for_running = any(isinstance(action, HalfOpen) and not action.new for action in rule.actions)
            if rule.when != when or for_running or handle in self._met or not handle.claims(self.request):
                continue
            self._met.add(handle)
            for action in rule.actions:
                if await self._do(action, handle):
                    return True
        return False

    async def _do(self, action: Action, handle: Handle) -> bool:
        taken = action.tape.find(self.request) if isinstance(action, Replay) else None
        if isinstance(action, Replay) and taken is None:
            return False
        self.request.faults.append(type(action).__name__)
        match action:
            case Delay(seconds):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await handle.removed.wait()
            case Drop(reset):
                raise DroppedError(reset=reset)
            case Answer():
                await self._answer(*action.rendered())
                return True
            case Replay() if taken is not None:
                await self._answer(*taken)
                return True
            case HalfOpen():
                self._stalls.append(handle)
                await self.passable()
            case Call(callback):
                await _called(callback, self.request)
            case Record(tape):
                self._tapes.append(tape)
            case Truncate() if not self.request.is_watch:
                self._cut = action
            case Truncate() | Inject() | DuplicateLines() | LoseLines() | HoldLines() | CloseWatch():
                self._lines.append((handle, action))
        return False

    async def _answer(self, head: Head, body: bytes) -> None:
        if self.request.sent is None and not self._head.header("expect"):
            await self._body.rest()  # else the client would still be sending it
        await self.link.drop()  # it may hold the rest of the server's answer
        head = head.framed(len(body))
        await self.tell_head(head)
        if self.request.method != "HEAD":
            await self.tell(body)

    async def _send_body(self, server: Stream) -> None:
        framing = self._body.framing
        while piece := await self._body.read():
            await self.passable()
            await server.send(framing.frame(piece))
        await server.send(framing.end)
        self.request.sent = time.monotonic()

    async def _respond(self, server: Stream) -> bool:
        while True:
            head = await read_head(server.reader)
            if head is None or head.status == 101:  # the proxy speaks nothing but HTTP
                raise DroppedError
            if head.status >= 200:
                break
            await self.tell(head.encode())
        self.request.server_status = head.status
        if await self._apply("after"):
            return True
        framing = Framing.of_response(head, self.request.method)
        body = Body(server.reader, framing)
        if self.request.is_watch and head.status == 200:
            self._stream = WatchStream(self, body)
            await self.tell_head(head)
            return await self._stream.run(self._lines) and framing.kind == "chunked"
        if self._cut is not None:
            return await self._truncated(self._cut, head, body)
        await self._relay(head, body)
        if head.closes or framing.kind == "close":
            await self.link.drop()
            return False
        return True

    async def _relay(self, head: Head, body: Body) -> None:
        await self.tell_head(head)
        pieces = []
        while piece := await body.read():
            if self._tapes:
                pieces.append(piece)
            await self.tell(body.framing.frame(piece))
        await self.tell(body.framing.end)
        if head.status == 200:
            for tape in self._tapes:
                tape.store(self.request, head, b"".join(pieces))

    async def _truncated(self, cut: Truncate, head: Head, body: Body) -> bool:
        whole = await body.rest()
        part = whole[: int(len(whole) * cut.fraction)]
        if cut.tidy:
            await self.tell_head(head.framed(len(part)))
            await self.tell(part)
            return not head.closes
        await self.tell_head(head)
        await self.tell(body.framing.frame(part) if part else b"")
        # FIN after what was sent, without the end that HTTP wants.
        return False


async def _called(callback: Callable[[Request], object], request: Request) -> None:
    """In a thread, so that it may block, or use the proxy."""
    result = await asyncio.to_thread(callback, request)
    if isinstance(result, Awaitable):
        await result
