"""Leader: one replica writes, decided by a `coordination.k8s.io/v1` Lease. Time is only ever our own monotonic clock.

A lease is over when *we* have seen it unchanged for its whole duration, whatever clocks others have (F42); and we
stop writing when we have not renewed it for two thirds of that, so that two never write at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kaos_operator.api import Api, ApiError
from kaos_operator.objects import Object

_log = logging.getLogger(__name__)

_API_VERSION = "coordination.k8s.io/v1"


class Leader:
    """This replica's part in the election. `changed` is called whenever it begins or ceases to lead."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        seconds: float,
        *,
        changed: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._changed = changed
        self._clock = clock
        self._valid_until = 0.0
        self._leads = False
        self._seen: tuple[str, float] = ("", 0.0)

    @property
    def leads(self) -> bool:
        """Whether a write is allowed at this moment."""
        return self._clock() < self._valid_until

    async def run(self) -> None:
        """Try to get the Lease and to keep it, until cancelled; then give it back."""
        try:
            while True:
                started = self._clock()
                try:
                    held = await self._try(started)
                except ApiError as error:
                    _log.warning("the Lease cannot be renewed", extra={"error": str(error)})
                    held = self.leads
                self._note(held and self.leads)
                await asyncio.sleep(self._seconds / 5)
        finally:
            await asyncio.shield(self._release())

    async def _try(self, started: float) -> bool:
        lease = await self._api.get(_API_VERSION, "Lease", self._namespace, self._name)
        if lease is None:
            with contextlib.suppress(_Lost):
                await self._write(self._lease({}, first=True), started)
                return True
            return False
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        mark = lease["metadata"]["resourceVersion"]
        if self._seen[0] != mark:
            self._seen = (mark, started)
        duration = float(spec.get("leaseDurationSeconds") or self._seconds)
        if holder not in ("", self._identity) and started - self._seen[1] < duration:
            return False
        with contextlib.suppress(_Lost):
            await self._write(self._lease(lease, first=holder != self._identity), started)
            return True
        return False

    async def _write(self, lease: Object, started: float) -> None:
        try:
            if "resourceVersion" in lease["metadata"]:
                await self._api.replace(lease)
            else:
                await self._api.create(lease, fenced=False)
        except ApiError as error:
            if error.status in (404, 409):
                raise _Lost from error
            raise
        self._valid_until = started + self._seconds * 2 / 3

    def _lease(self, found: Object, *, first: bool) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = dict(found.get("spec") or {})
        if first:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + bool(found)
        # The API wants whole seconds, one at least.
        duration = max(1, round(self._seconds))
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": duration, "renewTime": now}
        meta = found.get("metadata") or {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": meta, "spec": spec}

    def _note(self, leads: bool) -> None:
        if leads != self._leads:
            self._leads = leads
            _log.info("leading" if leads else "following", extra={"lease": f"{self._namespace}/{self._name}"})
            self._changed(leads)

    async def _release(self) -> None:
        """Let the next one in at once."""
        if not self.leads:
            return
        self._valid_until = 0.0
        with contextlib.suppress(ApiError):
            lease = await self._api.get(_API_VERSION, "Lease", self._namespace, self._name)
            if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._api.replace(lease)


class _Lost(Exception):  # noqa: N818  # not an error: another replica was quicker
    pass
