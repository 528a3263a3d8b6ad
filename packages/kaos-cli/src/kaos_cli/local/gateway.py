"""The local gateway: one address for every server, `/{namespace}/{mcp|agent|modelapi}/{name}/…`, like the cluster.

A reverse proxy in the supervisor's loop, imported by it when the first servers have been started. It streams both ways,
and lets in only requests that name this machine: no web page may reach the servers by DNS rebinding.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kaos_cli.local.ports import HOST
from kaos_cli.target import Ref

_LOCAL = frozenset({"localhost", HOST, "::1"})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_CONNECT_SECONDS = 5.0
RawHeaders = list[tuple[bytes, bytes]]


class Backend(Protocol):
    """A server as the gateway sees it."""

    @property
    def route(self) -> str:
        """The segment of its kind in URLs."""

    @property
    def serving(self) -> int | None:
        """Its port when it is ready."""

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status; `message` says why it is not ready."""


async def serve(listener: socket.socket, backends: Mapping[Ref, Backend]) -> None:
    """Serve what runs on a listening socket until cancelled; the socket is closed then."""
    # A stream that a server cuts off is cut off for its client too; that is no news for the log.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = _Server(
        uvicorn.Config(
            build_app(backends),
            access_log=False,
            log_config=None,
            lifespan="on",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn, except that signals are the supervisor's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build_app(backends: Mapping[Ref, Backend]) -> Starlette:
    """The application over what runs now."""
    gateway = _Gateway(backends)
    path = "/{namespace}/{kind}/{name}"
    routes = [
        Route("/", gateway.index),
        Route(path, gateway.forward, methods=_METHODS),
        Route(path + "/{rest:path}", gateway.forward, methods=_METHODS),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_OnlyLocal)], lifespan=gateway.lifespan)


class _Gateway:
    def __init__(self, backends: Mapping[Ref, Backend]) -> None:
        self._backends = backends
        self._client = httpx2.AsyncClient(
            # An event stream may be silent for as long as it likes.
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
        )

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._client:
            yield

    async def index(self, _: Request) -> Response:
        return PlainTextResponse(f"{self._names()}\n")

    async def forward(self, request: Request) -> Response:
        where = request.path_params
        wanted = (where["namespace"], where["kind"], where["name"])
        found = (item for item in self._backends.items() if (item[0].namespace, item[1].route, item[0].name) == wanted)
        ref, backend = next(found, (None, None))
        if ref is None or backend is None:
            return PlainTextResponse(f"there is no /{'/'.join(wanted)}; there are: {self._names()}\n", 404)
        port = backend.serving
        if port is None:
            message = backend.status.get("message") or "it is starting"
            return PlainTextResponse(f"{ref} is not ready: {message}\n", 503, headers={"retry-after": "1"})
        rest = request.scope["raw_path"].decode("latin-1").split("/", 4)[4:]
        query = request.scope["query_string"].decode("latin-1")
        url = httpx2.URL(f"http://{HOST}:{port}/{''.join(rest)}{'?' + query if query else ''}")
        headers = [
            (name, value) for name, value in _end_to_end(request.headers.raw) if name not in (b"host", b"origin")
        ]
        headers.append((b"host", f"localhost:{port}".encode()))
        try:
            answer = await self._client.send(
                self._client.build_request(request.method, url, headers=headers, content=_body(request)), stream=True
            )
        except httpx2.TransportError as error:
            return PlainTextResponse(f"{ref} dropped the connection: {type(error).__name__}\n", 502)
        response = StreamingResponse(_chunks(answer), answer.status_code)
        response.raw_headers = _end_to_end(answer.headers.raw)
        return response

    def _names(self) -> str:
        return (
            " ".join(f"/{ref.namespace}/{self._backends[ref].route}/{ref.name}" for ref in sorted(self._backends))
            or "no servers"
        )


class _OnlyLocal:
    """Refuses requests under another host's name (421) and those of foreign web pages (403)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if _host(f"//{headers.get('host', '')}") not in _LOCAL:
                app = PlainTextResponse("the gateway answers to localhost only\n", 421)
            elif origin is not None and _host(origin) not in _LOCAL:
                app = PlainTextResponse("the gateway takes no requests from other sites\n", 403)
        await app(scope, receive, send)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _body(request: Request) -> AsyncIterator[bytes] | None:
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    return request.stream() if has_body else None


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(headers: RawHeaders) -> RawHeaders:
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.decode("latin-1").split(",")
    }
    dropped = _HOP_BY_HOP | named
    return [(name.lower(), value) for name, value in headers if name.decode("latin-1").lower() not in dropped]
