"""Reconcile: one key through the whole flow. resource -> plan -> apply -> observe -> status, each its own module.

Level-triggered: it looks at everything the cache knows and does whatever is left to do, which mostly is nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

from kaos_core.errors import Problem, ResourceError
from kaos_core.manifests.names import child_name
from kaos_core.plan import Plan, plan, refused
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_core.resolve import Related
from kaos_core.settings import Settings
from kaos_core.status import status
from kaos_operator.api import Api, ApiError
from kaos_operator.apply import Refused, apply_plan
from kaos_operator.cache import Cache
from kaos_operator.events import Events
from kaos_operator.objects import Key, Object, version
from kaos_operator.observe import observe, remembered
from kaos_operator.probing import Prober, Question

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What a plan depends on beside the resource; another one whenever the registry or a namespace changes."""

    registry: Registry
    plugins: Plugins
    settings: Callable[[str], Settings]


class Reconciler:
    """Reconciles one key at a time; whoever calls it sees to it that no key is in two hands."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        prober: Prober,
        events: Events,
        inputs: Callable[[], Inputs],
        now: Callable[[], str],
        wake: Callable[[Key], None],
    ) -> None:
        self._api = api
        self._cache = cache
        self._prober = prober
        self._events = events
        self._inputs = inputs
        self._now = now
        self._wake = wake

    async def reconcile(self, key: Key) -> Set[int]:
        """Make one resource true, and its status with it; the versions of the objects that were written.

        Raises:
            Refused: the status tells it; to be tried again after a while.
            ApiError: to be tried again soon.
        """
        document = self._cache.resources.get(key)
        if document is None:
            self._prober.forget(key)
            return frozenset()
        deleting = bool(document["metadata"].get("deletionTimestamp"))
        planned = self._plan(key, document)
        refusal: Refused | ApiError | None = None
        written: set[int] = set()
        if not deleting:
            try:
                written = await apply_plan(self._api, self._cache, key, document["metadata"]["uid"], planned)
            except (Refused, ApiError) as error:
                refusal = error
        if written:
            _log.info("applied", extra={"resource": str(key), "writes": len(written)})
        written |= await self._tell(key, document, planned, refusal, deleting=deleting)
        if refusal is not None:
            raise refusal
        return written

    def _plan(self, key: Key, document: Object) -> Plan:
        inputs = self._inputs()
        kind = inputs.plugins.kinds()[key.kind]
        names = kind.references(document)
        found = {(other, name): self._cache.resources.get(Key(other, key.namespace, name)) for other, name in names}
        related = Related({reference: there for reference, there in found.items() if there is not None})
        try:
            return plan(document, inputs.registry, inputs.plugins, related, inputs.settings(key.namespace))
        except ResourceError as error:
            return refused(document, inputs.plugins, error)

    async def _tell(
        self, key: Key, document: Object, planned: Plan, refusal: Refused | ApiError | None, *, deleting: bool
    ) -> set[int]:
        """The status, if it says anything new; its version then."""
        children = self._cache.children_of(key)
        uid = document["metadata"]["uid"]
        own = [child for child in children if child.owner and child.owner[1] == uid]
        deployment = next((child for child in own if child.key.kind == "Deployment"), None)
        pods = self._cache.pods_of(key)
        stopped = bool(planned.errors or planned.waiting)
        epoch = f"{deployment.uid} {deployment.generation}" if deployment else ""
        generation = int(document["metadata"].get("generation") or 0)
        before = document.get("status") or {}
        handshake = self._prober.answer(key, epoch)
        if handshake is None and not self._prober.has_answered(key):
            handshake = remembered(before, generation)
        observed = observe(
            generation,
            deployment,
            pods,
            applied=refusal is None and not stopped,
            programmed=_problem(refusal),
            handshake=handshake,
            deleting=deleting,
            replicas=getattr(planned.resource.spec, "replicas", None),
        )
        self._ask(key, planned, epoch, serving=observed.available > 0 and not deleting and not stopped, pods=pods)
        made = status(planned, observed, before, self._now())
        written = set()
        if made != before:
            answer = await self._api.set_status(document, made)
            written.add(version(answer))
            concerned = self._cache.see_resource(answer)
            # The watch brings the same once more, as old news; whoever depends on this one is told now.
            for other in concerned - {key}:
                self._wake(other)
        await self._events.tell(document, planned, before, made)
        return written

    def _ask(self, key: Key, planned: Plan, epoch: str, *, serving: bool, pods: Any) -> None:
        """Have the server asked who it is, off this path."""
        spec = planned.resource.spec
        validation, transport = getattr(spec, "validation", None), getattr(spec, "transport", None)
        if planned.kind.name != "MCPServer" or not serving or (validation is not None and not validation.enabled):
            self._prober.forget(key)
            return
        question = Question(
            service=child_name(planned.kind.role, key.name),
            namespace=key.namespace,
            path=planned.path,
            protocol=(transport and transport.protocol) or "auto",
            interval=seconds(validation.interval) if validation and validation.interval else None,
            epoch=epoch,
            pods=tuple(sorted(pod.uid for pod in pods if pod.ready)),
        )
        self._prober.want(key, question)


def seconds(duration: str) -> float:
    """A Gateway API duration, such as `1h30m` or `500ms`, in seconds."""
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|h|m|s)", duration))


def _problem(refusal: Refused | ApiError | None) -> Problem | None:
    """A transient error is no news for the status: what was true before still is."""
    return refusal.problem if isinstance(refusal, Refused) else None
