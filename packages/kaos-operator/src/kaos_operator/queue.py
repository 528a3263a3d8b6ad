"""The work queue: a set of keys to look at, each in at most one pair of hands. Level-triggered.

Events only say *that* something changed; whoever takes a key looks at everything. A key that is added while it is
worked on comes again afterwards. Fresh edits come before the backlog of a start (design, "Operator").
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable, Set
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys waiting, keys in work, and keys that come back later.

    `first` and `limit` are the back-off of a key that failed, in seconds: doubled each time, with jitter.
    """

    def __init__(self, first: float = 0.05, limit: float = 300.0) -> None:
        self._first = first
        self._limit = limit
        self._fresh: dict[K, None] = {}
        self._backlog: dict[K, None] = {}
        self._working: set[K] = set()
        # Whether fresh, and why: the version of an object, or None for another reason.
        self._again: dict[K, set[tuple[bool, int | None]]] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Keys waiting now; those in work and those for later are not counted."""
        return len(self._fresh) + len(self._backlog)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in work; something may come back later."""
        return not len(self) and not self._working

    def add(self, key: K, *, fresh: bool = True, cause: int | None = None) -> None:
        """Have a key looked at; at once, whatever it was waiting for.

        `cause` is the version of the object that somebody has seen: if that turns out to be our own doing, `done`
        leaves it at that.
        """
        self._cancel(key)
        if key in self._working:
            self._again.setdefault(key, set()).add((fresh, cause))
        elif fresh:
            self._backlog.pop(key, None)
            self._fresh[key] = None
        elif key not in self._fresh:
            self._backlog[key] = None
        self._wake.set()

    def later(self, key: K, seconds: float) -> None:
        """Have a key looked at after some time; the earlier of two times counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._timers.get(key)
        if key in self._fresh or key in self._backlog or (known is not None and known.when() <= due):
            return
        self._cancel(key)
        self._timers[key] = loop.call_at(due, self._due, key)

    @property
    def working(self) -> int:
        """How many keys are in work."""
        return len(self._working)

    def failed(self, key: K, at_least: float = 0.0, at_most: float | None = None) -> float:
        """Have a key that failed looked at after its back-off; how many seconds that is."""
        count = self._failures.get(key, 0)
        self._failures[key] = min(count + 1, 30)
        limit = self._limit if at_most is None else min(at_most, self._limit)
        pause = min(self._first * 2.0**count, limit) * random.uniform(0.75, 1.25)  # noqa: S311 no secret
        pause = max(pause, at_least)
        if key not in self._again:
            self.later(key, pause)
        return pause

    def succeeded(self, key: K) -> None:
        """The next failure of this key is its first again."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The next key; `done` gives it back."""
        while True:
            for waiting in (self._fresh, self._backlog):
                if waiting:
                    key = next(iter(waiting))
                    del waiting[key]
                    self._working.add(key)
                    return key
            self._wake.clear()
            await self._wake.wait()

    def done(self, key: K, own: Set[int] = frozenset()) -> None:
        """The key is out of work; it comes again when it was added meanwhile, unless only for versions of our `own`."""
        self._working.discard(key)
        added = self._again.pop(key, set())
        if any(cause not in own for _, cause in added):
            self.add(key, fresh=any(fresh for fresh, _ in added))

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel(self, key: K) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
