"""One Deployment kept true: what its controllers would do, one step at a time. Level-triggered.

Whatever happens (an edit, an exit, a pod that somebody deletes) only wakes `run`, which looks at everything again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from controlplane.node.api import DEPLOYMENTS, PODS, REPLICA_SETS, Api, ApiError, Object
from controlplane.node.container import RETRY, Container
from controlplane.node.pods import replica_set, template_hash
from controlplane.node.recipe import Recipes, main_container
from controlplane.node.references import References
from controlplane.node.replicas import Replicas
from controlplane.node.rollout import Count, Seen, deployment_status, targets, wanted
from controlplane.node.state import now
from kaos_cli.local.forks import ForkParents
from kaos_cli.local.settings import Settings
from kaos_cli.local.store import Store
from kaos_cli.target import Ref

REVISION = "deployment.kubernetes.io/revision"
_DEADLINE = 600


@dataclass(frozen=True)
class World:
    """What the workloads of one node share."""

    api: Api
    recipes: Recipes
    store: Store
    settings: Settings
    forks: ForkParents


class Workload:
    """One Deployment, by its uid: another one of the same name is another workload."""

    def __init__(self, document: Object, world: World) -> None:
        meta = document["metadata"]
        self.namespace, self.name, self.uid = str(meta["namespace"]), str(meta["name"]), str(meta["uid"])
        self._document = document
        self._world = world
        self._woken = asyncio.Event()
        self._gone = self._deleted = False
        self.over = asyncio.Event()
        self._sets: dict[str, Replicas] = {}
        self._suspects: set[str] = set()
        self._began = False
        self._progress: tuple[object, float] = (None, 0.0)
        # The template whose rollout was complete once: what its pods do later is no news of the rollout.
        self._completed = ""

    def take(self, document: Object) -> None:
        """A newer version of it."""
        self._document = document
        self._woken.set()

    def suspect(self, pod: str) -> None:
        """Something happened to a pod that may be one of its own."""
        self._suspects.add(pod)
        self._woken.set()

    def suspect_all(self) -> None:
        """The watch of pods was cut off meanwhile."""
        self._suspects |= {name for one in self._sets.values() for name in one.pods}
        self._woken.set()

    def remove(self, *, deleted: bool) -> None:
        """End everything, then `run` returns; when it was deleted, its pods go too."""
        self._gone, self._deleted = True, deleted
        self._woken.set()

    @property
    def serving(self) -> Container | None:
        """The newest of its containers that is ready."""
        ready = [one.container for one in self._sets.values() if one.container and one.container.state.ready]
        return ready[-1] if ready else None

    @property
    def containers(self) -> list[Container]:
        """All that it has, the newest last."""
        return [one.container for one in self._sets.values() if one.container]

    async def run(self) -> None:
        """Keep it true until it is removed. What a bug raises ends it, and `FakeNode.stop` tells it."""
        try:
            while not self._gone:
                self._woken.clear()
                pause: float | None = None
                try:
                    pause = await self._step()
                except (httpx2.HTTPError, ApiError):
                    # The API server is away or busy with an edit of somebody else: look again.
                    pause = RETRY
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            await asyncio.gather(*(one.clear() if self._deleted else one.stop() for one in self._sets.values()))
            self.over.set()

    async def _step(self) -> float | None:
        """Take one; in how many seconds to look again, None for when something happens."""
        document = self._document
        if not self._began:
            await self._sweep()
            self._began = True
        digest = template_hash(document["spec"]["template"])
        if digest not in self._sets:
            self._sets[digest] = await self._replicas(document, digest)
        present = self._sets[digest]
        # The newest is the last, also one that has come back.
        self._sets[digest] = self._sets.pop(digest)
        for failed in (one.failure for one in self._sets.values()):
            if failed is not None:
                raise failed
        suspects, self._suspects = self._suspects, set()
        for one in self._sets.values():
            await one.look(suspects)
        before = self._counts(digest)
        new, old = targets(document["spec"], *before)
        await present.scale(new)
        await self._shrink(digest, old)
        for one in self._sets.values():
            await one.tell()
        await self._tell(document, digest)
        await self._forget(document)
        if self._counts(digest) != before:
            return 0.0
        if present.refused:
            return RETRY
        # At the deadline once more; after it, and when all is done, only when something happens.
        return self._left(document) or None if self._completed != digest else None

    def _counts(self, digest: str) -> tuple[Count, Count]:
        old = [one.count for other, one in self._sets.items() if other != digest]
        return self._sets[digest].count, Count(sum(one.pods for one in old), sum(one.ready for one in old))

    async def _shrink(self, digest: str, target: int) -> None:
        """Old pods go: first those of containers that serve nobody."""
        old = sorted((one for other, one in self._sets.items() if other != digest), key=lambda one: one.count.ready > 0)
        spare = sum(one.count.pods for one in old) - target
        for one in old:
            leave = min(spare, one.count.pods)
            if leave > 0:
                await one.scale(one.count.pods - leave)
                spare -= leave

    async def _replicas(self, document: Object, digest: str) -> Replicas:
        """The ReplicaSet for the present template, made if it is new, and what runs for it."""
        api = self._world.api
        revision = str(1 + max((_revision(one.document) for one in self._sets.values()), default=0))
        made = replica_set(document, digest, 0)
        found = await api.get(REPLICA_SETS, self.namespace, made["metadata"]["name"])
        if found is None:
            made["metadata"]["annotations"] = {REVISION: revision}
            found = await api.create(REPLICA_SETS, self.namespace, made)
        annotated = {"metadata": {"annotations": {REVISION: revision}}}
        if (document["metadata"].get("annotations") or {}).get(REVISION) != revision:
            # As the real controller does it: by way of the status it makes no new generation.
            await api.merge(DEPLOYMENTS, self.namespace, self.name, annotated, "status")
        return Replicas(api, found, digest, main_container(document)["name"], lambda: self._container(document, digest))

    def _container(self, document: Object, digest: str) -> Container:
        world = self._world
        return Container(
            Ref("Pod", self.namespace, f"{self.name}-{digest}"),
            document["spec"]["template"]["spec"],
            main_container(document),
            recipe=lambda: world.recipes.process(document),
            references=References(world.api, self.namespace),
            store=world.store,
            settings=world.settings,
            forks=world.forks,
            changed=self._woken.set,
        )

    async def _sweep(self) -> None:
        """Remove pods that an earlier node left: nothing runs for them any more."""
        selector = self._document["spec"]["selector"]["matchLabels"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        for found in await self._world.api.list(PODS, self.namespace, labels):
            meta = found["metadata"]
            await self._world.api.delete(PODS, self.namespace, meta["name"], meta["uid"], gracePeriodSeconds=0)

    async def _forget(self, document: Object) -> None:
        """ReplicaSets beyond the history that the Deployment asks for."""
        empty = [digest for digest, one in list(self._sets.items())[:-1] if not one.count.pods]
        limit = document["spec"].get("revisionHistoryLimit", 10)
        for digest in empty[: max(0, len(empty) - limit)]:
            meta = self._sets.pop(digest).document["metadata"]
            await self._world.api.delete(REPLICA_SETS, self.namespace, meta["name"], meta["uid"])

    async def _tell(self, document: Object, digest: str) -> None:
        """Write the Deployment's status where it says something new."""
        new, old = self._counts(digest)
        present = self._sets[digest]
        if self._progress[0] != (digest, new, old):
            self._progress = (digest, new, old), time.monotonic()
        desired = wanted(document["spec"])
        if new.pods == new.ready == desired and not old.pods:
            self._completed = digest
        complete = self._completed == digest and not old.pods
        late = not complete and self._left(document) == 0
        status = deployment_status(document, Seen(present.name, new, old, present.refused, complete, late), now())
        if _differs(document.get("status") or {}, status):
            written = await self._world.api.merge(DEPLOYMENTS, self.namespace, self.name, {"status": status}, "status")
            if self._document is document:
                self._document = written

    def _left(self, document: Object) -> float:
        """Seconds until a rollout that does not go on counts as failed."""
        allowed: int = document["spec"].get("progressDeadlineSeconds", _DEADLINE)
        return max(0.0, self._progress[1] + allowed - time.monotonic())


def _revision(document: Object) -> int:
    return int((document["metadata"].get("annotations") or {}).get(REVISION, 0))


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(before.get(name) != value for name, value in after.items())
