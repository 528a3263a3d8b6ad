"""Web: `/healthz`, `/readyz` and `/metrics` of the operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

Check = Callable[[], str]
"""What is wrong, in a sentence; empty when nothing is."""


class Web:
    """The operator's own small HTTP server."""

    def __init__(self, *, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> None:
        app = web.Application()
        app.router.add_get("/healthz", _answering(healthy))
        app.router.add_get("/readyz", _answering(ready))

        async def show(_: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

        app.router.add_get("/metrics", show)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)

    async def start(self, host: str, port: int) -> int:
        """Listen; the port it has. Raises OSError when that is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        wrong = check()
        return web.Response(text=wrong or "ok", status=503 if wrong else 200)

    return answer
