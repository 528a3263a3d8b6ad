"""The node's parts in its event loop: watches, one workload per Deployment, the collector and the gateway."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2

from controlplane.node.api import DEPLOYMENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS, Api, ApiError, Object
from controlplane.node.collector import Collector
from controlplane.node.container import RETRY, Container
from controlplane.node.gateway import Gateway
from controlplane.node.recipe import Recipes
from controlplane.node.workload import Workload, World
from kaos_cli.local.forks import ForkParents
from kaos_cli.local.settings import Settings
from kaos_cli.local.store import Store
from kaos_core.manifests import names

SETTINGS = Settings(
    backoff_first=1.0, stop_grace=2.0, probe_first=0.05, probe_interval=1.0, live_interval=1.0, live_timeout=2.0
)
"""Shorter than kubelet's and the local target's: tests wait for them."""
OURS = f"app.kubernetes.io/managed-by={names.FIELD_MANAGER}"


class Cluster:
    """Everything of one `FakeNode` that is asynchronous."""

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext,
        token: str,
        folder: Path,
        served: Mapping[str, Sequence[str]],
        settings: Settings | None,
    ) -> None:
        self._api = Api(url, context, token)
        self._log = os.open(folder / "forks.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._forks = ForkParents(self._log, {})
        self._world = World(self._api, Recipes(self._api, served), Store(folder), settings or SETTINGS, self._forks)
        self._gateway = Gateway(self._port_of)
        self._workloads: dict[str, Workload] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> int:
        """The port of the gateway. It is responsible for nothing yet."""
        return await self._gateway.start()

    async def add(self, namespace: str) -> None:
        """Be responsible for a namespace; empty for all."""
        self._watching[namespace] = asyncio.create_task(self._watch(namespace))
        self._go(self._watching[namespace])

    async def remove(self, namespace: str) -> None:
        """End what runs for a namespace, and let it be."""
        watching = self._watching.pop(namespace)
        watching.cancel()
        await asyncio.wait([watching])
        workloads = self._of(namespace)
        for workload in workloads:
            workload.remove(deleted=False)
        await asyncio.gather(*(workload.over.wait() for workload in workloads))

    async def run_until(self, over: asyncio.Event) -> None:
        """Until told, or until a part fails, which is raised. Ends every process."""
        waiting = asyncio.create_task(over.wait())
        try:
            await asyncio.wait((waiting, self._failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(waiting, *self._tasks, return_exceptions=True)
            await self._gateway.stop()
            await self._forks.close()
            await self._api.close()
            os.close(self._log)
        if self._failed.done():
            self._failed.result()
        self._failed.cancel()

    @property
    def namespaces(self) -> list[str]:
        """Those it is responsible for."""
        return list(self._watching)

    def containers(self, namespace: str, deployment: str) -> list[Container]:
        """Of a Deployment by its name."""
        found = (one for one in list(self._workloads.values()) if (one.namespace, one.name) == (namespace, deployment))
        return [container for workload in found for container in workload.containers]

    def _port_of(self, namespace: str, service: str) -> int | None:
        # Service and Deployment of a resource have one name (kaos_core.manifests.names.child_name).
        for one in self._workloads.values():
            if (one.namespace, one.name) == (namespace, service) and one.serving:
                return one.serving.port
        return None

    def _go(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    async def _watch(self, namespace: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_deployments(namespace))
            tasks.create_task(self._watch_pods(namespace))
            tasks.create_task(Collector(self._api, namespace).run())
            tasks.create_task(self._watch_namespaces() if not namespace else self._make_account(namespace))

    def _of(self, namespace: str) -> list[Workload]:
        return [one for one in self._workloads.values() if namespace in ("", one.namespace)]

    async def _watch_deployments(self, namespace: str) -> None:
        async for event, document in self._api.watch(DEPLOYMENTS, namespace, OURS):
            if event == "LISTED":
                uids = {one["metadata"]["uid"] for one in document["items"]}
                for workload in self._of(namespace):
                    if workload.uid not in uids:
                        workload.remove(deleted=True)
                for item in document["items"]:
                    self._take(item)
            elif event == "DELETED":
                gone = self._workloads.get(document["metadata"]["uid"])
                if gone:
                    gone.remove(deleted=True)
            else:
                self._take(document)

    def _take(self, document: Object) -> None:
        uid = document["metadata"]["uid"]
        if uid in self._workloads:
            self._workloads[uid].take(document)
            return
        workload = self._workloads[uid] = Workload(document, self._world)
        task = asyncio.create_task(workload.run())
        self._go(task)
        task.add_done_callback(lambda _: self._workloads.pop(uid, None))

    async def _watch_pods(self, namespace: str) -> None:
        async for event, document in self._api.watch(PODS, namespace, OURS, whole=False):
            concerned = self._of(namespace)
            if event == "LISTED":
                for workload in concerned:
                    workload.suspect_all()
            elif event == "DELETED" or "deletionTimestamp" in document["metadata"]:
                for workload in concerned:
                    workload.suspect(document["metadata"]["name"])

    async def _watch_namespaces(self) -> None:
        async for event, document in self._api.watch(NAMESPACES):
            for one in document["items"] if event == "LISTED" else [document]:
                if event != "DELETED" and "deletionTimestamp" not in one["metadata"]:
                    await self._make_account(one["metadata"]["name"])

    async def _make_account(self, namespace: str) -> None:
        """The ServiceAccount `default` that every namespace has: without it no pod is admitted."""
        while True:
            try:
                await self._api.create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": "default"}})
            except httpx2.HTTPError:
                await asyncio.sleep(RETRY)
            except ApiError:
                return  # there already, or the namespace is gone
            else:
                return
