"""A real small HTTPS server (aiohttp's, not ours) behind the proxy, and clients of the standard library."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from faultproxy import FaultProxy, hosted
from faultproxy.hosting import LoopThread
from faultproxy.tls import Authority

ITEMS = [{"metadata": {"name": f"thing-{number}"}} for number in range(50)]


class SmallServer:
    """Lists things, takes writes, streams the lines that a test emits to whoever watches."""

    def __init__(self, authority: Authority) -> None:
        self.ca = authority.ca
        self._context = authority.server_context()
        self.seen: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.connections: set[object] = set()
        self.items = ITEMS
        self._watchers: list[asyncio.Queue[bytes | None]] = []
        self._changed = threading.Condition()

    async def start(self, port: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/api/v1/things", self._list)
        app.router.add_route("*", "/{rest:.*}", self._write)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port, ssl_context=self._context).start()
        self.url = f"https://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.runner.cleanup()

    @property
    def watching(self) -> int:
        return len(self._watchers)

    def emit(self, *lines: bytes) -> None:
        for line in lines:
            for queue in self._watchers:
                self.loop.call_soon_threadsafe(queue.put_nowait, line)

    def end_watches(self) -> None:
        for queue in self._watchers:
            self.loop.call_soon_threadsafe(queue.put_nowait, None)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout=10), (self.seen, self.watching)

    def _note(self, request: web.Request) -> None:
        self.seen.append(request)
        self.connections.add(request.transport)
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if request.query.get("watch") == "true":
            return await self._watch(request)
        response = web.json_response({"kind": "ThingList", "items": self.items})
        if "chunked" in request.query:
            response.enable_chunked_encoding()
        return response

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._watchers.append(queue)
        self._notify()
        try:
            await response.prepare(request)
            while (line := await queue.get()) is not None:
                await response.write(line)
        finally:
            self._watchers.remove(queue)
            self._notify()
        return response

    async def _write(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self._note(request)
        return web.json_response({"number": len(self.seen)}, status=201, headers={"X-Server": "small"})


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with LoopThread("small server") as thread:
        small = SmallServer(Authority())
        thread.run(small.start())
        try:
            yield small
        finally:
            small.end_watches()
            thread.run(small.stop())


@pytest.fixture
def proxy(server: SmallServer) -> Iterator[FaultProxy]:
    with hosted(server.url, server.ca) as running:
        yield running


class Client(http.client.HTTPSConnection):
    """One kept connection to the proxy."""

    def __init__(self, proxy: FaultProxy, timeout: float = 10) -> None:
        context = ssl.create_default_context(cadata=proxy.ca)
        super().__init__("127.0.0.1", urlsplit(proxy.url).port, timeout=timeout, context=context)

    def ask(
        self, method: str = "GET", target: str = "/api/v1/things", body: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer."""
        self.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return self.getresponse()

    def names(self, target: str = "/api/v1/things") -> list[str]:
        """List."""
        return [item["metadata"]["name"] for item in json.loads(self.ask(target=target).read())["items"]]

    def watch(self, query: str = "watch=true") -> http.client.HTTPResponse:
        """Begin a watch; its lines come by `readline()`."""
        return self.ask(target=f"/api/v1/things?{query}")


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    connection = Client(proxy)
    yield connection
    connection.close()


@pytest.fixture
def connect(proxy: FaultProxy) -> Iterator[Callable[..., Client]]:
    """Further connections: `connect()`."""
    made: list[Client] = []
    default = proxy

    def make(timeout: float = 10, proxy: FaultProxy = default) -> Client:
        made.append(Client(proxy, timeout))
        return made[-1]

    yield make
    for connection in made:
        connection.close()
