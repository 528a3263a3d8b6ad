"""The response of a watch, line by line, through the filters of the rules that concern it.

Lines, timers and rules that come and go meet in one queue, so that each stream's output has one order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from faultproxy.lines import End, Item, LineFilter, OfLines, line_filter
from faultproxy.wire import Body, CutError

if TYPE_CHECKING:
    from faultproxy.exchange import Exchange
    from faultproxy.rules import Handle


class WatchStream:
    """One watch that is being passed on."""

    def __init__(self, exchange: Exchange, body: Body) -> None:
        self._exchange = exchange
        self._body = body
        self._inbox: asyncio.Queue[Callable[[], list[Item]]] = asyncio.Queue()
        self._filters: list[tuple[Handle, LineFilter]] = []
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self, actions: list[tuple[Handle, OfLines]]) -> bool:
        """Pass it on to its end. Returns False when the client's connection has to end in the midst of it.

        Raises:
            OSError: the client's connection ended.
        """
        for handle, action in actions:
            self.join(handle, action)
        reading = asyncio.create_task(self._read())
        try:
            while True:
                happened = await self._inbox.get()
                for item in happened():
                    if isinstance(item, End):
                        return await self._end(item)
                    await self._exchange.tell(self._body.framing.frame(item))
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            for timer in self._timers:
                timer.cancel()

    def join(self, handle: Handle, action: OfLines) -> None:
        """A rule meets the stream."""
        self._inbox.put_nowait(lambda: self._begun(handle, line_filter(action)))

    def leave(self, handle: Handle) -> None:
        """A rule is no longer in force."""
        self._inbox.put_nowait(lambda: self._left(handle))

    def _begun(self, handle: Handle, joining: LineFilter) -> list[Item]:
        self._filters.append((handle, joining))
        if joining.expires is not None:
            timer = asyncio.get_running_loop().call_later(
                joining.expires, self._inbox.put_nowait, lambda: self._after(joining, joining.expired())
            )
            self._timers.append(timer)
        return joining.begin()

    def _left(self, handle: Handle) -> list[Item]:
        freed: list[Item] = []
        for item in [item for item in self._filters if item[0] is handle]:
            freed += self._after(item[1], item[1].finish())
            self._filters.remove(item)
        return freed

    def _after(self, origin: LineFilter, items: list[Item]) -> list[Item]:
        """What a filter gave, through those behind it; nothing when its rule is gone."""
        filters = [each for _, each in self._filters]
        return _through(filters[filters.index(origin) + 1 :], items) if origin in filters else []

    async def _read(self) -> None:
        rest = b""
        try:
            while piece := await self._body.read():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._feed(line + b"\n")
            if rest:
                self._feed(rest)
        except (CutError, OSError):
            self._inbox.put_nowait(lambda: [End(abort=True)])
        else:
            self._inbox.put_nowait(lambda: [End(abort=False)])

    def _feed(self, line: bytes) -> None:
        self._inbox.put_nowait(lambda: _through([each for _, each in self._filters], [line]))

    async def _end(self, end: End) -> bool:
        if not self._body.ended:
            await self._exchange.link.drop()
        if end.abort:
            return False
        await self._exchange.tell(self._body.framing.end)
        return True


def _through(filters: list[LineFilter], items: list[Item]) -> list[Item]:
    for each in filters:
        items = [out for item in items for out in ([item] if isinstance(item, End) else each.feed(item))]
    return items
