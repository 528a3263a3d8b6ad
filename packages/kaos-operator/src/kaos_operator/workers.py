"""Workers: take keys from the queue and have each reconciled; what an error means for the next time is decided here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Set

from kaos_operator.api import ApiError, NotLeaderError
from kaos_operator.apply import Refused
from kaos_operator.metrics import Metrics
from kaos_operator.objects import Key
from kaos_operator.queue import WorkQueue
from kaos_operator.reconcile import Reconciler

_log = logging.getLogger(__name__)

FORBIDDEN_LIMIT = 30.0
"""The longest pause after a Forbidden: rights come back without any event (F5)."""
LEASE_LOOK = 0.2
"""How soon a resource is looked at again whose write came when the Lease had just run out."""
DRAIN = 10.0
"""Seconds that keys in work have to be finished in after a signal (F48)."""


class Workers:
    """`count` of them, all held by one gate: `open` while this replica leads and the cache is complete."""

    def __init__(self, count: int, queue: WorkQueue[Key], reconciler: Reconciler, metrics: Metrics) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._metrics = metrics
        self._gate = asyncio.Event()
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> list[asyncio.Task[None]]:
        """Begin; the tasks, none of which ends by itself."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {number}") for number in range(self._count)]
        return self._tasks

    def hold(self, held: bool) -> None:
        """Close or open the gate; keys in work are finished."""
        if held:
            self._gate.clear()
        else:
            self._gate.set()

    async def stop(self) -> None:
        """Let the keys in work be finished, and end."""
        self.hold(True)
        deadline = time.monotonic() + DRAIN
        while self._queue.working and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._gate.wait()
            key = await self._queue.take()
            if not self._gate.is_set():
                self._queue.add(key, fresh=False)
                self._queue.done(key)
                continue
            started = time.perf_counter()
            result, own = await self._once(key)
            self._metrics.reconciles.labels(key.kind, result).inc()
            self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
            self._queue.done(key, own)

    async def _once(self, key: Key) -> tuple[str, Set[int]]:
        """How it went, and the versions that came of it."""
        own: Set[int] = frozenset()
        try:
            own = await self._reconciler.reconcile(key)
        except Refused as refused:
            limit = FORBIDDEN_LIMIT if refused.problem.reason == "Forbidden" else None
            pause = self._queue.failed(key, at_least=refused.retry_after, at_most=limit)
            _say("refused", key, str(refused), pause)
            return "refused", own
        except ApiError as error:
            # A lost race is no news: the next look sees what won it (F2).
            level = logging.DEBUG if error.status == 409 else logging.WARNING
            pause = self._queue.failed(key, at_least=error.retry_after)
            _say("the API server did not do it", key, str(error), pause, level)
            return "error", own
        except NotLeaderError:
            # Not at once: nothing was awaited, so the loop would never come to renew the Lease, or to anything else.
            self._queue.later(key, LEASE_LOOK)
            return "not leader", own
        except Exception as error:  # noqa: BLE001  # a defect of ours or of a plugin costs one resource, not the process
            _log.exception("reconcile failed", extra={"resource": str(key), "error": repr(error)})
            self._queue.failed(key, at_least=1.0)
            return "defect", own
        self._queue.succeeded(key)
        return "done", own


def _say(what: str, key: Key, error: str, pause: float, level: int = logging.WARNING) -> None:
    _log.log(level, what, extra={"resource": str(key), "error": error, "again": f"{pause:.2g} s"})
