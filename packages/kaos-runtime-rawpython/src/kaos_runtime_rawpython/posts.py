"""The layer of the HTTP front before FastMCP: `/mcp` takes JSON by POST, and says so to everything else."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from kaos_runtime_rawpython.hosts import reject

_SHOWN = 100


class JsonPosts:
    """405 for other methods (RFC 9110, section 15.5.6), 415 for other content.

    FastMCP's routes would name DELETE in `Allow`, which a server without sessions has no use for, and answer other
    content with 400.

    Args:
        path: the one path that this holds for.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "http" and scope["path"] == self._path:
            if scope["method"] != "POST":
                await reject(send, 405, f"{scope['method'][:_SHOWN]} is not served here; use POST", allow="POST")
                return
            types = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"]
            if len(types) != 1 or types[0].split(";")[0].strip().lower() != "application/json":
                found = ", ".join(types)[:_SHOWN]
                await reject(send, 415, f"Content-Type {found!r} is not read here; send application/json")
                return
        await self._app(scope, receive, send)
