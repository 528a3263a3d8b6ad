"""Streams: what kopf's own connections do, seen from the session it uses. Liveness, and lists that need a sweep.

kopf tells handlers about objects, not about connections: a watch that has fallen silent and an object that went away
between two lists both leave no event. So the session is traced: when each watch last said anything, and which
collections were listed again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp


class Streams:
    """The watches of one operator by path. `relisted` is called with the path of a collection listed once more."""

    def __init__(self, relisted: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._relisted = relisted
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._listed: set[str] = set()

    def silence(self) -> float:
        """For how many seconds the most silent watch has said nothing; 0 when there is none."""
        now = self._clock()
        return max((now - heard for heard in self._heard.values()), default=0.0)

    @property
    def open(self) -> int:
        """How many collections are watched."""
        return len(self._heard)

    def trace(self) -> aiohttp.TraceConfig:
        """For the session that kopf uses."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._started)
        config.on_request_end.append(self._answered)
        return config

    async def _started(
        self, _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestStartParams
    ) -> None:
        url = params.url
        context.watch = url.path if "watch" in url.query else ""
        context.list = "" if context.watch or "continue" in url.query else url.path
        if context.watch:
            self._heard.setdefault(context.watch, self._clock())

    async def _answered(
        self, _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        if params.response.status != 200:
            return
        if context.watch:
            self._hear(context.watch)
            # aiohttp traces the chunks of bodies that are read whole, and a watch is none.
            params.response.content = cast("aiohttp.StreamReader", _Heard(params.response.content, context.watch, self))
        elif context.list and params.response.content_type == "application/json":
            if context.list in self._listed:
                self._relisted(context.list)
            self._listed.add(context.list)

    def _hear(self, path: str) -> None:
        self._heard[path] = self._clock()


class _Heard:
    """The body of a watch; whatever comes in it, a bookmark too, is heard."""

    def __init__(self, content: aiohttp.StreamReader, path: str, streams: Streams) -> None:
        self._content = content
        self._path = path
        self._streams = streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """As kopf reads it."""
        async for part in self._content.iter_chunked(size):
            self._streams._hear(self._path)
            yield part
