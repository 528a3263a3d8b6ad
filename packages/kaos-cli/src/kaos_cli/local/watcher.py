"""Looks at running servers from outside: does the port accept, is it ready, does it answer the MCP handshake."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from kaos_cli.local.ports import HOST
from kaos_cli.local.settings import Settings
from kaos_core.observed import Handshake

_AT_ONCE = 4
"""Handshakes at the same time: ten servers that start together should not wait for each other's answers either."""
_STRIKES = 2
"""Failed handshakes in a row before a server that answered counts as failed."""


@dataclass(frozen=True)
class Sight:
    """What was seen last: `ready` is the port and the readiness path, `handshake` None before the first."""

    ready: bool = False
    handshake: Handshake | None = None


class Watcher:
    """Watches all servers of a supervisor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._client: asyncio.Task[None] | None = None

    async def warm(self) -> None:
        """Import the MCP client, in a thread: the first server starts meanwhile, and both take a second."""
        await asyncio.shield(self._importing())

    def _importing(self) -> asyncio.Task[None]:
        if self._client is None:
            self._client = asyncio.create_task(asyncio.to_thread(_import_client))
        return self._client

    async def watch(
        self, *, port: int, path: str, ready: str | None, protocol: str, tell: Callable[[Sight], None]
    ) -> None:
        """Watch one server and tell what changes, until cancelled; an empty `protocol` asks for no handshake."""
        settings = self._settings
        last = Sight()
        accepted = strikes = 0.0
        pause = settings.probe_first
        if protocol or ready is not None:
            self._importing()
        while True:
            sight = Sight(await _accepts(port))
            if sight.ready:
                accepted = accepted or time.monotonic()
                sight = await self._question(port, path, ready, protocol)
            answered = sight.handshake is not None and sight.handshake.outcome in ("ok", "auth")
            if sight.handshake is not None and not answered:
                strikes += 1
                young = last.handshake is None and time.monotonic() - accepted < settings.probe_patience
                if young or (
                    strikes < _STRIKES and last.handshake is not None and last.handshake.outcome in ("ok", "auth")
                ):
                    sight = Sight(sight.ready, last.handshake)
            else:
                strikes = 0
            if sight != last:
                last = sight
                tell(sight)
            if answered or (sight.ready and not protocol):
                pause = settings.probe_first
                await asyncio.sleep(settings.probe_interval)
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 1.2, max(1.0, settings.probe_first))

    async def _question(self, port: int, path: str, ready: str | None, protocol: str) -> Sight:
        if ready is None and not protocol:
            return Sight(ready=True)
        await self.warm()
        if ready is not None and not await self._is_ready(port, ready):
            return Sight()
        if not protocol:
            return Sight(ready=True)
        from kaos_probe import Transport, handshake

        async with self._turns:
            answer = await handshake(
                f"http://{HOST}:{port}{path}",
                timeout=self._settings.probe_timeout,
                transport=cast(Transport, protocol),
            )
        return Sight(ready=True, handshake=answer)

    async def _is_ready(self, port: int, path: str) -> bool:
        import httpx2

        from kaos_probe.bounded import Seen, bounded_client

        async with bounded_client(Seen(), timeout=self._settings.probe_timeout) as client:
            with contextlib.suppress(httpx2.HTTPError):
                answer = await client.get(f"http://{HOST}:{port}{path}", headers={"Host": "localhost"})
                return answer.status_code == 200
        return False


async def _accepts(port: int) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _import_client() -> None:
    import fastmcp.client.transports  # noqa: F401  # what `handshake` needs

    import kaos_probe.bounded  # noqa: F401  # likewise
