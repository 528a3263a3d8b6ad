"""Does a running server still live: the kubelet's liveness probe for programs on this machine.

One small request every few seconds for each server: a library's client costs more to make than all the rest.
"""

from __future__ import annotations

import asyncio
import contextlib

from kaos_cli.local.ports import HOST
from kaos_cli.local.settings import Settings

STRIKES = 3
"""Failures in a row; `failureThreshold` of the pods."""


async def hung(port: int, path: str | None, settings: Settings) -> str:
    """Return, with a sentence for people, when it has not answered 3 times in a row.

    Every `live_interval` seconds it is asked for `path`, where 200 to 399 is an answer, or to accept a connection.
    """
    strikes = 0
    while strikes < STRIKES:
        await asyncio.sleep(settings.live_interval)
        strikes = 0 if await _lives(port, path, settings.live_timeout) else strikes + 1
    return f"it did not answer {path or f'on port {port}'} {STRIKES} times in a row"


async def _lives(port: int, path: str | None, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                if path is None:
                    return True
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                _, _, rest = (await reader.readline()).partition(b" ")
                return b"200" <= rest[:3] < b"400"
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False
