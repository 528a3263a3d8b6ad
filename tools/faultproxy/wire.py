"""HTTP/1.1 on the bare stream: heads and bodies, read and written piece by piece.

A library would mend or hide what the proxy must be able to do: end a body too early, say nothing at all, reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LIMIT = 1 << 20
"""The longest head, in bytes."""
_PIECE = 1 << 16
_FAREWELL = 1.0
"""Seconds for the other side to answer TLS's farewell."""


class CutError(Exception):
    """The other side ended before its message was complete."""


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a request or a response; names keep their case and order."""

    line: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def method(self) -> str:
        """Of a request."""
        return self.line.split(" ", 2)[0]

    @property
    def target(self) -> str:
        """Of a request: path and query as sent."""
        return self.line.split(" ", 2)[1]

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.line.split(" ", 2)[1])

    def header(self, name: str) -> str:
        """The first value, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this message."""
        return self.header("connection").lower() == "close" or "HTTP/1.0" in self.line

    def framed(self, length: int) -> Head:
        """The same, with a body of that many bytes."""
        kept = tuple(item for item in self.headers if item[0].lower() not in {"content-length", "transfer-encoding"})
        return Head(self.line, (*kept, ("Content-Length", str(length))))

    def encode(self) -> bytes:
        """As sent, with the empty line."""
        lines = [self.line, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response_head(status: int, reason: str, headers: Mapping[str, str]) -> Head:
    """A response's head of our own."""
    return Head(f"HTTP/1.1 {status} {reason}", tuple(headers.items()))


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None when the other side ended between two messages.

    Raises:
        CutError: it ended, or sent more than LIMIT bytes, within the head.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise CutError from error
        return None
    except asyncio.LimitOverrunError as error:
        raise CutError from error
    first, *rest = raw[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return Head(first, tuple((name, value.strip()) for name, _, value in pairs))


@dataclass(frozen=True)
class Framing:
    """How a body's end is known."""

    kind: Literal["none", "length", "chunked", "close"]
    length: int = 0

    @classmethod
    def of_request(cls, head: Head) -> Framing:
        """A request's body ends by itself or is not there."""
        if head.header("transfer-encoding").lower() == "chunked":
            return cls("chunked")
        length = int(head.header("content-length") or 0)
        return cls("length", length) if length else cls("none")

    @classmethod
    def of_response(cls, head: Head, method: str) -> Framing:
        """A response without either header ends with its connection."""
        if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
            return cls("none")
        if not head.header("transfer-encoding") and not head.header("content-length"):
            return cls("close")
        return cls.of_request(head)

    def frame(self, piece: bytes) -> bytes:
        """A piece of the body as sent."""
        return b"%x\r\n%s\r\n" % (len(piece), piece) if self.kind == "chunked" else piece

    @property
    def end(self) -> bytes:
        """What tells the end of the body."""
        return b"0\r\n\r\n" if self.kind == "chunked" else b""


class Body:
    """A body as it arrives, freed from its framing."""

    def __init__(self, reader: asyncio.StreamReader, framing: Framing) -> None:
        self.framing = framing
        self._reader = reader
        self._left = framing.length
        self.ended = framing.kind == "none"

    async def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            CutError: the other side ended too early.
        """
        try:
            piece = b"" if self.ended else await self._next()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise CutError from error
        self.ended = not piece
        return piece

    async def rest(self) -> bytes:
        """All that is still to come. Raises CutError."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def _next(self) -> bytes:
        kind = self.framing.kind
        if kind == "close":
            return await self._reader.read(_PIECE)
        if kind == "chunked" and not self._left:
            self._left = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if not self._left:
                while await self._reader.readuntil(b"\r\n") != b"\r\n":
                    pass
        if not self._left:
            return b""
        piece = await self._reader.read(min(self._left, _PIECE))
        if not piece:
            raise CutError
        self._left -= len(piece)
        if kind == "chunked" and not self._left:
            await self._reader.readexactly(2)
        return piece


class _Protocol(asyncio.StreamReaderProtocol):
    """Also tells, to any number of tasks, that the connection is no more."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


class Stream:
    """One TLS connection."""

    def __init__(self, reader: asyncio.StreamReader, protocol: _Protocol, transport: asyncio.Transport) -> None:
        self.reader = reader
        self._lost = protocol.lost
        self._writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())

    @classmethod
    async def accepted(cls, sock: socket.socket, context: ssl.SSLContext) -> Stream:
        """The server's side of a connection that was accepted; the socket is its own from now on. Raises OSError."""
        reader = asyncio.StreamReader(limit=LIMIT)
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: _Protocol(reader), sock, ssl=context, ssl_shutdown_timeout=_FAREWELL
        )
        return cls(reader, protocol, transport)

    @classmethod
    async def connected(cls, host: str, port: int, context: ssl.SSLContext, server_name: str) -> Stream:
        """A connection of ours. Raises OSError."""
        reader = asyncio.StreamReader(limit=LIMIT)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            lambda: _Protocol(reader),
            host,
            port,
            ssl=context,
            server_hostname=server_name,
            ssl_shutdown_timeout=_FAREWELL,
        )
        return cls(reader, protocol, transport)

    @property
    def ended(self) -> bool:
        """Whether the other side has ended it, as far as is known."""
        return self.reader.at_eof() or self._lost.is_set()

    def write(self, data: bytes) -> None:
        """Put it into the buffer."""
        self._writer.write(data)

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other side does not read. Raises ConnectionError."""
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Return when the connection is no more."""
        await self._lost.wait()

    async def close(self) -> None:
        """End it with TLS's farewell and FIN."""
        self._writer.close()
        await self.gone()

    def abort(self, *, reset: bool = False) -> None:
        """End it at once, what is unsent included; with `reset` by RST."""
        if reset:
            sock = self._writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
