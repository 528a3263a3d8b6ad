"""MCP peers that do harm, as real sockets: what a probe, or any client, has to survive.

Example:
    with HostilePeers() as peers:
        hung = peers.open(silent(), count=10)
        flood = peers.open(endless("text/event-stream"))[0]
        ...                                       # let MCPServers point at hung[i].port and flood.port
        assert flood.sent < 4 << 20
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from faultproxy.hosting import LoopThread
from faultproxy.wire import Body, CutError, Framing, Head, read_head, response_head

_PIECE = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request that a peer read. `headers` has lower-case names."""

    time: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def rpc_method(self) -> str:
        """The JSON-RPC method, or an empty string."""
        try:
            return str(json.loads(self.body)["method"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass(eq=False)
class Peer:
    """One listening socket on 127.0.0.1.

    Attributes:
        url: its MCP endpoint, `http://127.0.0.1:<port>/mcp`.
        connections: when each connection came, as `time.monotonic()`.
        connected: how many there are now.
        requests: those that were read; a silent peer reads none.
        sent: bytes given to the network so far.
    """

    port: int
    connections: list[float] = field(default_factory=list)
    connected: int = 0
    requests: list[Asked] = field(default_factory=list)
    sent: int = 0

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"


class Visit:
    """One connection, for a behaviour to treat."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peer = peer
        self._reader = reader
        self._writer = writer

    async def asked(self) -> bool:
        """Read a request. Returns False when the client has left. Raises CutError."""
        head = await read_head(self._reader)
        if head is None:
            return False
        body = await Body(self._reader, Framing.of_request(head)).rest()
        headers = {name.lower(): value for name, value in head.headers}
        self._peer.requests.append(Asked(time.monotonic(), head.method, head.target, headers, body))
        return True

    async def send(self, data: bytes | Head) -> None:
        """Send, at the pace of the client. Raises ConnectionError when it has left."""
        data = data.encode() if isinstance(data, Head) else data
        self._writer.write(data)
        await self._writer.drain()
        self._peer.sent += len(data)

    async def left(self) -> None:
        """Return when the client has left; nothing of what it sends is read for anyone."""
        while await self._reader.read(_PIECE):
            pass


Behaviour = Callable[[Visit], Awaitable[None]]
"""Treats one connection; when it returns, the connection is closed."""


def silent() -> Behaviour:
    """Accepts, and never answers."""

    async def behave(visit: Visit) -> None:
        await visit.left()

    return behave


def hangs_up() -> Behaviour:
    """Closes each connection as soon as it has a request, without an answer."""

    async def behave(visit: Visit) -> None:
        await visit.asked()

    return behave


def endless(content_type: str = "text/event-stream", piece: bytes = b": " + b"x" * 1022 + b"\n\n") -> Behaviour:
    """Answers 200 and streams the piece for ever, as fast as the client reads."""
    return _for_ever(content_type, piece * max(1, _PIECE // len(piece)), None)


def dripping(content_type: str = "text/event-stream", piece: bytes = b":\n", seconds: float = 0.1) -> Behaviour:
    """Answers 200 and sends the piece every so often for ever: no time-out between reads ever fires."""
    return _for_ever(content_type, piece, seconds)


def endless_head() -> Behaviour:
    """Answers 200 and sends headers for ever."""

    async def behave(visit: Visit) -> None:
        if await visit.asked():
            await visit.send(b"HTTP/1.1 200 OK\r\n")
            while True:
                await visit.send(b"X-More: " + b"x" * 1000 + b"\r\n")

    return behave


def answers(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, reason: str = "Hostile"
) -> Behaviour:
    """Answers every request so, with the length of the body, and keeps the connection."""
    head = response_head(status, reason, {"Content-Type": "application/json", **(headers or {})}).framed(len(body))

    async def behave(visit: Visit) -> None:
        while await visit.asked():
            await visit.send(head)
            await visit.send(body)

    return behave


def redirects(location: str, status: int = 307) -> Behaviour:
    """Sends the client elsewhere."""
    return answers(status, headers={"Location": location})


def unauthorized(challenge: str = "Bearer") -> Behaviour:
    """Answers 401."""
    return answers(401, b'{"error":"unauthorized"}', {"WWW-Authenticate": challenge})


def long_line(size: int = 10_000_000, content_type: str = "application/json") -> Behaviour:
    """A well-formed JSON-RPC result on one line of `size` bytes; as one SSE event with `text/event-stream`."""
    empty = b'{"jsonrpc":"2.0","id":1,"result":{"pad":""}}'
    line = empty.replace(b'""', b'"' + b"x" * (size - len(empty)) + b'"')
    if content_type == "text/event-stream":
        line = b"event: message\ndata: " + line + b"\n\n"
    return answers(200, line, {"Content-Type": content_type})


def invalid_utf8() -> Behaviour:
    """A JSON-RPC result with bytes that are no UTF-8."""
    return answers(200, b'{"jsonrpc":"2.0","id":1,"result":{"name":"\xff\xfe\xc0\xaf"}}')


def truncated() -> Behaviour:
    """A JSON body of which half arrives before the connection ends."""

    async def behave(visit: Visit) -> None:
        if await visit.asked():
            body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
            await visit.send(response_head(200, "OK", {"Content-Type": "application/json"}).framed(len(body)))
            await visit.send(body[: len(body) // 2])

    return behave


def no_http() -> Behaviour:
    """Answers with another protocol's greeting."""

    async def behave(visit: Visit) -> None:
        if await visit.asked():
            await visit.send(b"220 mail.example ESMTP\r\n")
            await visit.left()

    return behave


def _for_ever(content_type: str, piece: bytes, seconds: float | None) -> Behaviour:
    framing = Framing("chunked")
    head = response_head(200, "OK", {"Content-Type": content_type, "Transfer-Encoding": "chunked"})

    async def behave(visit: Visit) -> None:
        if await visit.asked():
            await visit.send(head)
            while True:
                await visit.send(framing.frame(piece))
                if seconds is not None:
                    await asyncio.sleep(seconds)

    return behave


class HostilePeers:
    """The sockets, served in a thread until the `with` block ends."""

    def __init__(self) -> None:
        self._thread = LoopThread("hostile peers")
        self._servers: list[asyncio.Server] = []
        self._visits: set[asyncio.Task[None]] = set()

    def __enter__(self) -> HostilePeers:
        self._thread.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self._thread.run(self._close())
        finally:
            self._thread.__exit__(*raised)

    def open(self, behaviour: Behaviour, count: int = 1) -> list[Peer]:
        """Listen on that many free ports."""
        return self._thread.run(self._open(behaviour, count))

    async def _open(self, behaviour: Behaviour, count: int) -> list[Peer]:
        return [await self._listen(behaviour) for _ in range(count)]

    async def _listen(self, behaviour: Behaviour) -> Peer:
        peer = Peer(0)

        async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._visits.add(task)
                task.add_done_callback(self._visits.discard)
            peer.connections.append(time.monotonic())
            peer.connected += 1
            try:
                await behaviour(Visit(peer, reader, writer))
                writer.close()
            except (CutError, OSError, asyncio.CancelledError):
                writer.transport.abort()  # else it would wait for what the client never reads
            finally:
                peer.connected -= 1

        server = await asyncio.start_server(treat, "127.0.0.1", 0, backlog=1024)
        self._servers.append(server)
        peer.port = server.sockets[0].getsockname()[1]
        return peer

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for visit in list(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        await asyncio.gather(*(server.wait_closed() for server in self._servers))
