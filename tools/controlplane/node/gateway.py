"""`http://127.0.0.1:PORT/{namespace}/{service}/…`: every Service of the node behind one port, byte for byte.

A connection carries one request. Its head is read, path and Host are filled in as a client of the Service would have
sent them, and from there on bytes are passed through both ways: streams, and whatever a hostile server sends, arrive
as they are. An SSE server names the path for its client's messages by itself; that one is remembered, for it comes
without the prefix.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

from controlplane.programs import HOST
from kaos_core.manifests import names

_ENDPOINT = re.compile(rb"event: ?endpoint\r?\ndata: ?(/[^\r\n]+)")
_SNIFFED = 4096
"""Bytes from the beginning of an answer in which an SSE server's endpoint is looked for."""
Backend = tuple[str, str]
"""Namespace and Service."""


class Gateway:
    """`port_of` gives the port of the ready process behind a Service; None when there is none."""

    def __init__(self, port_of: Callable[[str, str], int | None]) -> None:
        self._port_of = port_of
        self._endpoints: dict[bytes, Backend] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free port: which."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close everything."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio calls it in one
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the node stops
        finally:
            self._open.discard(task)
            await _close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *headers = head[:-4].split(b"\r\n")
        method, target, version = first.split(b" ", 2)
        backend, path = self._route(target)
        port = self._port_of(*backend) if backend else None
        if backend is None or port is None:
            text = f"no ready pod behind {'/'.join(backend) if backend else target.decode('latin-1')}\n".encode()
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n")
            writer.write(b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            await writer.drain()
            return
        host = f"{backend[1]}.{backend[0]}.svc:{names.SERVICE_PORT}".encode()
        kept = [line for line in headers if line.partition(b":")[0].strip().lower() not in (b"host", b"connection")]
        lines = [b" ".join((method, path, version)), b"Host: " + host, *kept, b"Connection: close"]
        there_reader, there = await asyncio.open_connection(HOST, port)
        try:
            there.write(b"\r\n".join(lines) + b"\r\n\r\n")
            await self._pass(reader, writer, there_reader, there, backend)
        finally:
            await _close(there)

    def _route(self, target: bytes) -> tuple[Backend | None, bytes]:
        if target in self._endpoints:
            return self._endpoints[target], target
        parts = target.split(b"/", 3)
        if len(parts) < 3 or parts[0]:
            return None, target
        service, mark, query = parts[2].partition(b"?")
        rest = parts[3] if len(parts) > 3 else mark + query
        return (parts[1].decode("latin-1"), service.decode("latin-1")), b"/" + rest

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        backend: Backend,
    ) -> None:
        """Until the answer is over or the client has gone."""
        request = asyncio.create_task(_copy(reader, there))
        answer = asyncio.create_task(self._answer(there_reader, writer, backend))
        try:
            await asyncio.wait((request, answer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (request, answer):
                task.cancel()
            await asyncio.gather(request, answer, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, backend: Backend) -> None:
        sniffed = b""
        while chunk := await reader.read(1 << 16):
            if len(sniffed) < _SNIFFED:
                sniffed += chunk
                if found := _ENDPOINT.search(sniffed):
                    self._endpoints[found[1]] = backend
            writer.write(chunk)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends when the client has closed its side."""
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
