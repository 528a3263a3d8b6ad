"""The pods of one template: a ReplicaSet in the API, its Pods, and the one container behind all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import httpx2

from controlplane.node.api import PODS, REPLICA_SETS, Api, ApiError, Object
from controlplane.node.container import Container
from controlplane.node.pods import pod, pod_status
from controlplane.node.rollout import Count
from controlplane.node.state import now


class Replicas:
    """Steps are taken by `workload`; nothing here waits for anything but the API server and the end of a process."""

    def __init__(self, api: Api, document: Object, digest: str, main: str, make: Callable[[], Container]) -> None:
        self.document = document
        self.digest = digest
        self.refused = ""
        self.container: Container | None = None
        self._api = api
        self._main = main
        self._make = make
        self._task: asyncio.Task[None] | None = None
        self._pods: dict[str, Object] = {}
        self._target = 0
        # What was written last, by the name of the pod; the API server adds to it.
        self._told: dict[str, Object] = {}
        self._told_set: Object = {}

    @property
    def name(self) -> str:
        """Of the ReplicaSet."""
        return str(self.document["metadata"]["name"])

    @property
    def pods(self) -> list[str]:
        """Their names."""
        return list(self._pods)

    @property
    def count(self) -> Count:
        """What is there now."""
        ready = bool(self.container and self.container.state.ready)
        return Count(len(self._pods), len(self._pods) if ready else 0)

    @property
    def failure(self) -> BaseException | None:
        """What ended the container's task, which nothing should."""
        task = self._task
        return task.exception() if task and task.done() and not task.cancelled() else None

    async def scale(self, target: int) -> None:
        """Make or delete pods. A refusal is kept in `refused`."""
        self._target = target
        while len(self._pods) > target:
            await self._leave(next(reversed(self._pods)))
        self.refused = ""
        namespace = self.document["metadata"]["namespace"]
        while len(self._pods) < target:
            try:
                made = await self._api.create(PODS, namespace, pod(self.document))
            except ApiError as error:
                self.refused = str(error)
                break
            self._pods[made["metadata"]["name"]] = made
        if self._pods and self.container is None:
            self.container = self._make()
            self._task = asyncio.create_task(self.container.run())

    async def look(self, names: Iterable[str]) -> None:
        """Let go of those of these pods that somebody else has deleted, or is deleting; the next step makes others."""
        for name in names:
            if name not in self._pods:
                continue
            found = await self._api.get(PODS, self.document["metadata"]["namespace"], name)
            same = found and found["metadata"]["uid"] == self._pods[name]["metadata"]["uid"]
            if not found or not same or "deletionTimestamp" in found["metadata"]:
                await self._leave(name)

    async def tell(self) -> None:
        """Write the status of each pod, and of the ReplicaSet, where it says something new."""
        for name, document in list(self._pods.items()):
            if self.container is None:
                break
            state = self.container.state
            before = self._told.get(name, {})
            status = pod_status(document, self._main, state, before, now())
            if status != before:
                await self._api.merge(PODS, document["metadata"]["namespace"], name, {"status": status}, "status")
                self._told[name] = status
        await self._tell_replica_set()

    async def clear(self) -> None:
        """End the container, and remove the pods as far as the API server is there."""
        await self.stop()
        for name, document in self._pods.items():
            meta = document["metadata"]
            with contextlib.suppress(httpx2.HTTPError, ApiError):
                await self._api.delete(PODS, meta["namespace"], name, meta["uid"], gracePeriodSeconds=0)

    async def stop(self) -> None:
        """End the container."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.container = self._task = None

    async def _tell_replica_set(self) -> None:
        meta, count = self.document["metadata"], self.count
        ready = count.ready or None
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": self.refused}
        told: dict[str, Object] = {
            "spec": {"replicas": self._target},
            "status": {
                "replicas": count.pods,
                "readyReplicas": ready,
                "availableReplicas": ready,
                "conditions": [failure] if self.refused else None,
            },
        }
        if told == self._told_set:
            return
        written = await self._api.merge(REPLICA_SETS, meta["namespace"], meta["name"], {"spec": told["spec"]})
        status = {**told["status"], "observedGeneration": written["metadata"]["generation"]}
        await self._api.merge(REPLICA_SETS, meta["namespace"], meta["name"], {"status": status}, "status")
        self._told_set = told

    async def _leave(self, name: str) -> None:
        """A pod goes as it should: marked, its process ended when it was the last, then removed."""
        namespace = self.document["metadata"]["namespace"]
        uid = self._pods[name]["metadata"]["uid"]
        await self._api.delete(PODS, namespace, name, uid)
        del self._pods[name]
        self._told.pop(name, None)
        if not self._pods:
            await self.stop()
        await self._api.delete(PODS, namespace, name, uid, gracePeriodSeconds=0)
