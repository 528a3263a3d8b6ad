"""The outermost layer of the HTTP front: refuses requests that reached the server under somebody else's name.

It is what keeps a web page from using the reader's browser against a server on their machine or network (DNS
rebinding; MCP, Transports, Security). FastMCP's own guard answers in plain text and reads one Origin only.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_SHOWN = 100


class HostGuard:
    """421 for a foreign Host, 403 for a foreign, `null` or second Origin; on every route.

    Args:
        allowed: names without a port, lower case; any port of them is right.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "http":
            hosts, origins = [], []
            for name, value in scope["headers"]:
                if name == b"host":
                    hosts.append(value.decode("latin-1"))
                elif name == b"origin":
                    origins.append(value.decode("latin-1"))
            if len(hosts) != 1 or _name(f"//{hosts[0]}") not in self._allowed:
                found = hosts[0][:_SHOWN] if hosts else ""
                await reject(
                    send, 421, f"Host {found!r} is not served here; to allow it, name it in KAOS_GATEWAY_HOSTS"
                )
                return
            if origins and (len(origins) > 1 or _name(origins[0]) not in self._allowed):
                found = ", ".join(origins)[:_SHOWN]
                await reject(
                    send,
                    403,
                    f"Origin {found!r} may not call this server; to allow it, name its host in KAOS_GATEWAY_HOSTS",
                )
                return
        await self._app(scope, receive, send)


def _name(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for a port that is none
    except ValueError:
        return ""
    return (
        ""
        if parts.path or parts.query or parts.fragment or parts.username is not None
        else (parts.hostname or "").rstrip(".")
    )


async def reject(send: Send, status: int, message: str, **headers: str) -> None:
    """Answer with a JSON-RPC error without id: the request was not read, so its id is not known."""
    body = json.dumps({"jsonrpc": "2.0", "error": {"code": -32600, "message": message}}).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
