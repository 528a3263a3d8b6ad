"""An HTTP client for servers nobody vouches for: counts what it reads, follows no redirect, uses no proxy.

Imported by `handshake` when it is first needed, since the HTTP library is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

MAX_BYTES = 1 << 20
"""Of all answers together (F28)."""


@dataclass
class Seen:
    """What the connections saw and an MCP client does not pass on."""

    statuses: list[int] = field(default_factory=list)
    location: str = ""
    bytes_read: int = 0
    too_large: bool = False


def bounded_client(seen: Seen, **options: Any) -> httpx2.AsyncClient:
    """A client that writes what it sees into `seen`; the options are those of `httpx2.AsyncClient`."""
    return httpx2.AsyncClient(**{**options, "follow_redirects": False, "trust_env": False, "transport": _Bounded(seen)})


class _Bounded(httpx2.AsyncHTTPTransport):
    def __init__(self, seen: Seen) -> None:
        super().__init__(trust_env=False)
        self._seen = seen

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self._seen.statuses.append(response.status_code)
        if response.has_redirect_location:
            self._seen.location = response.headers["location"]
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Counted(response.stream, self._seen)
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, seen: Seen) -> None:
        self._stream = stream
        self._seen = seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._seen.bytes_read += len(chunk)
            if self._seen.bytes_read > MAX_BYTES:
                self._seen.too_large = True
                raise httpx2.ReadError(f"more than {MAX_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
