"""The operator under load: 300 MCPServers at once, all edited, a restart, idle; on a real API server on this machine.

    nox -s bench -- operator_load            # 300 servers
    KAOS_BENCH_SERVERS=1000 python bench/operator_load.py

In the same run the same objects are made and edited by a bare client that knows them beforehand: nothing is planned,
watched or compared. That is what the API server itself takes on this machine, the floor under every operator.

Printed with the figures of peers, measured on two cores of the same kind of machine with the same clients: the
upstream Go operator, kmcp and vitorbari's. They are built from Go modules that need a container registry's bases to
run as released; so they stand here as reference, and the ratio is against the upstream operator.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import ssl
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from controlplane import namespaces
from controlplane.binaries import find
from controlplane.operators import OperatorProcess
from controlplane.server import ControlPlane

SERVERS = int(os.environ.get("KAOS_BENCH_SERVERS", "300"))
CLIENTS, WORKERS = 32, 16
ROUNDS = int(os.environ.get("KAOS_BENCH_ROUNDS", "3"))
UPSTREAM = {"created": 5.4, "writes": 7.0, "updated": 3.2}
OTHERS = "kmcp 14.0 s, 7.8 writes, update 15.8 s; vitorbari 14.9 s, 13.4 writes, update 4.9 s"


def document(number: int, revision: int = 0) -> dict[str, Any]:
    """An MCPServer whose code differs by revision."""
    code = f"def add(a: int, b: int) -> int:\n    return a + b + {revision}\n"
    return {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": f"s{number}"},
        "spec": {"runtime": "rawpython", "params": code},
    }


class Cluster:
    """One namespace of the API server, asked by many clients at once."""

    def __init__(self, plane: ControlPlane, namespace: str, session: aiohttp.ClientSession) -> None:
        self.plane = plane
        self.namespace = namespace
        self.path = f"/apis/kaos.tools/v1alpha1/namespaces/{namespace}/mcpservers"
        self.session = session

    async def send(self, count: int, revision: int | None) -> float:
        """Create them, or edit them; seconds until every status is of the current generation."""
        turns = asyncio.Semaphore(CLIENTS)

        async def one(number: int) -> None:
            async with turns:
                await self.edit(number, revision)

        async with self.session.get(self.path) as answer:
            listed = await answer.json()
        told = asyncio.create_task(self.converged(listed, count, 1 if revision is None else 2))
        started = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(count)))
        await told
        took = time.monotonic() - started
        await self.check(count)
        return took

    async def edit(self, number: int, revision: int | None) -> None:
        """Create one, or edit it."""
        if revision is None:
            async with self.session.post(self.path, json=document(number)) as answer:
                assert answer.status == 201, await answer.text()
        else:
            await self.patch(f"{self.path}/s{number}", document(number, revision), "merge-patch+json")

    async def patch(self, path: str, body: Any, kind: str) -> None:
        """One PATCH."""
        params = {"fieldManager": "kaos-operator", "force": "true"} if kind == "apply-patch+yaml" else {}
        headers = {"Content-Type": f"application/{kind}"}
        async with self.session.patch(path, data=json.dumps(body), params=params, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def converged(self, listed: dict[str, Any], count: int, generation: int) -> None:
        """Watch until `count` statuses are of that generation. Polling lists would take the CPU that is measured."""
        told: set[str] = set()
        params = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.session.get(self.path, params=params, timeout=timeout) as answer:
            async for line in answer.content:
                found = json.loads(line)["object"]
                if found.get("status", {}).get("observedGeneration", 0) >= generation:
                    told.add(found["metadata"]["name"])
                    if len(told) >= count:
                        return

    async def check(self, count: int) -> None:
        """Everything is there, and says so."""
        collections = {"apps/v1": "deployments", "v1": "services"}
        for version, plural in collections.items():
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            async with self.session.get(f"{root}/namespaces/{self.namespace}/{plural}") as answer:
                assert len((await answer.json())["items"]) == count, plural
        # A list may lag behind a watch when the disk is slow; a status that went back would stay.
        for _ in range(50):
            async with self.session.get(self.path) as answer:
                items = (await answer.json())["items"]
            behind = [i for i in items if i.get("status", {}).get("observedGeneration") != i["metadata"]["generation"]]
            if not behind:
                break
            await asyncio.sleep(0.1)
        assert len(items) == count, len(items)
        assert not behind, len(behind)


class Bare:
    """The same requests without an operator: what it wrote, taken from `cluster` and sent again in `other`."""

    def __init__(self, cluster: Cluster, other: Cluster) -> None:
        self.cluster = cluster
        self.other = other

    async def send(self, count: int, revision: int | None) -> float:
        """Seconds for the users' requests and the operator's, the latter as soon as each of the former is done."""
        known = {plural: await self.known(plural) for plural in ("deployments", "services")}
        async with self.cluster.session.get(self.cluster.path) as answer:
            statuses = {item["metadata"]["name"]: item["status"] for item in (await answer.json())["items"]}
        users, workers = asyncio.Semaphore(CLIENTS), asyncio.Semaphore(WORKERS)

        async def one(number: int) -> None:
            name = f"s{number}"
            async with users:
                await self.other.edit(number, revision)
            async with workers:
                made = [("/apis/apps/v1", "deployments")] + ([("/api/v1", "services")] if revision is None else [])
                for root, plural in made:
                    path = f"{root}/namespaces/{self.other.namespace}/{plural}/mcpserver-{name}"
                    await self.other.patch(path, known[plural][f"mcpserver-{name}"], "apply-patch+yaml")
                steps = [{"op": "add", "path": "/status", "value": statuses[name]}]
                await self.other.patch(f"{self.other.path}/{name}/status", steps, "json-patch+json")

        started = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(count)))
        return time.monotonic() - started

    async def known(self, plural: str) -> dict[str, Any]:
        """What the operator made, as it was applied: without what only the API server sets, and without owners."""
        version = "apps/v1" if plural == "deployments" else "v1"
        kind = plural.capitalize().removesuffix("s")
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        async with self.cluster.session.get(f"{root}/namespaces/{self.cluster.namespace}/{plural}") as answer:
            items = (await answer.json())["items"]
        found = {}
        for item in items:
            meta = {key: item["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
            spec = {key: value for key, value in item["spec"].items() if not key.startswith("clusterIP")}
            found[meta["name"]] = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
        return found


def writes(plane: ControlPlane, before: Counter[Any]) -> Counter[Any]:
    """What was written since, without what the clients wrote."""
    return Counter({key: n for key, n in (plane.writes() - before).items() if key[1] != "mcpservers" or key[2]})


async def one_round(plane: ControlPlane) -> dict[str, float]:
    """All figures once, in a namespace of its own."""
    namespace = namespaces.create(plane.client)
    context = ssl.create_default_context(cafile=str(plane.authority))
    headers = {"Authorization": f"Bearer {plane.token()}"}
    connector = aiohttp.TCPConnector(limit=CLIENTS + 1, ssl=context)
    other = namespaces.create(plane.client)
    found: dict[str, float] = {}
    async with aiohttp.ClientSession(plane.url, headers=headers, connector=connector) as session:
        cluster, bare = Cluster(plane, namespace, session), Cluster(plane, other, session)
        with OperatorProcess(plane, namespace, [namespace], {"KAOS_LOG_LEVEL": "INFO"}) as operator:
            process = psutil.Process(operator.pid)
            before, cpu = plane.writes(), process.cpu_times()
            found["created"] = await cluster.send(SERVERS, None)
            await asyncio.sleep(1)
            found["writes"] = sum(writes(plane, before).values()) / SERVERS
            spent = process.cpu_times()
            found["cpu"] = spent.user + spent.system - cpu.user - cpu.system
            found["created bare"] = await Bare(cluster, bare).send(SERVERS, None)
            before = plane.writes()
            found["updated"] = await cluster.send(SERVERS, 1)
            await asyncio.sleep(1)
            found["update writes"] = sum(writes(plane, before).values()) / SERVERS
            found["updated bare"] = await Bare(cluster, bare).send(SERVERS, 1)
            found["memory"] = process.memory_full_info().pss / 2**20
            operator.stop()
            before = plane.writes()
            started = time.monotonic()
            operator.start()
            await one_edit(cluster, 10**6)
            found["restart"] = time.monotonic() - started
            await asyncio.sleep(3)
            changed = writes(plane, before)
            found["restart writes"] = sum(changed.values()) - 2  # the edit: its Deployment and its status
            found["memory after restart"] = psutil.Process(operator.pid).memory_full_info().pss / 2**20
    for each in (namespace, other):
        namespaces.delete(plane.client, each)
    return found


async def one_edit(cluster: Cluster, revision: int) -> None:
    """Edit the last one, and wait until it is done: the new process has seen everything by then."""
    path = f"{cluster.path}/s{SERVERS - 1}"
    headers = {"Content-Type": "application/merge-patch+json"}
    async with cluster.session.patch(path, json=document(SERVERS - 1, revision), headers=headers) as answer:
        wanted = (await answer.json())["metadata"]["generation"]
    while True:
        async with cluster.session.get(path) as answer:
            if (await answer.json())["status"]["observedGeneration"] == wanted:
                return
        await asyncio.sleep(0.05)


async def main() -> None:
    """Every round, and the medians."""
    with ControlPlane(find(), audit=False) as plane:
        rounds = [await one_round(plane) for _ in range(ROUNDS)]
    print(f"{SERVERS} MCPServers, {CLIENTS} clients, {ROUNDS} rounds, medians; Python {platform.python_version()}")
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        middle = statistics.median(values)
        known = name in UPSTREAM and (SERVERS == 300 or "writes" in name)
        ratio = f"   {middle / UPSTREAM[name]:.2f} of upstream's {UPSTREAM[name]}" if known else ""
        print(f"{name:>22}: {middle:8.2f}   ({min(values):.2f}–{max(values):.2f}){ratio}")
    print(f"  reference: {OTHERS}")
    print(json.dumps({"aiohttp": aiohttp.__version__, "cores": os.cpu_count()}))


if __name__ == "__main__":
    asyncio.run(main())
