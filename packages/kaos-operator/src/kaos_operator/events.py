"""Warning events: told once when a reason changes, never again for the same (design, "Children and counts")."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from kaos_core.conditions import PENDING, READY
from kaos_core.plan import Plan
from kaos_core.status_limits import clipped
from kaos_operator.api import Api, ApiError
from kaos_operator.objects import Object, digest

_log = logging.getLogger(__name__)

QUIET = 300.0
"""Seconds in which the same reason of the same object is not told again (I7)."""


class Events:
    """Posts Warning events. They are news, not state: one that cannot be posted is logged and forgotten."""

    def __init__(self, api: Api, now: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._now = now
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    async def tell(
        self, document: Mapping[str, Any], planned: Plan, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Compare two statuses of a resource, and tell what got worse; also the plan's warnings, once a generation."""
        old, new = _ready(before), _ready(after)
        if new.get("status") == "False" and new.get("reason") not in {*PENDING, old.get("reason")}:
            await self.warn(document, new["reason"], new.get("message", ""))
        if before.get("observedGeneration") != after.get("observedGeneration"):
            for problem in planned.problems:
                if problem.severity == "warning":
                    await self.warn(document, problem.reason, str(problem))

    async def warn(self, document: Mapping[str, Any], reason: str, message: str) -> None:
        """One Warning event on an object."""
        meta = document["metadata"]
        known = self._told.get((meta["uid"], reason))
        now = self._clock()
        if known is not None and now - known < QUIET:
            return
        self._told = {key: at for key, at in self._told.items() if now - at < QUIET}
        self._told[meta["uid"], reason] = now
        try:
            await self._api.create(self._event(document, reason, message))
        except ApiError as error:
            _log.warning("an event could not be posted", extra={"reason": reason, "error": str(error)})

    def _event(self, document: Mapping[str, Any], reason: str, message: str) -> Object:
        meta, now = document["metadata"], self._now()
        name = f"{meta['name'][:200]}.{digest([meta['uid'], reason, now, self._clock()])[:16]}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": meta.get("namespace", "default")},
            "involvedObject": {
                "apiVersion": document["apiVersion"],
                "kind": document["kind"],
                "name": meta["name"],
                "namespace": meta.get("namespace", ""),
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "type": "Warning",
            "reason": reason,
            "message": clipped(message),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "kaos-operator"},
            "reportingComponent": "kaos-operator",
            "reportingInstance": "kaos-operator",
        }


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or [] if c.get("type") == READY), {})
