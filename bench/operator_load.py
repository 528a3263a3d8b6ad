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
from controlplane.load import CLIENTS, Servers, collection, connected
from controlplane.operators import OperatorProcess
from controlplane.server import ControlPlane

SERVERS = int(os.environ.get("KAOS_BENCH_SERVERS", "300"))
WORKERS = 16
ROUNDS = int(os.environ.get("KAOS_BENCH_ROUNDS", "3"))
COLLECTIONS = {"apps/v1": "deployments", "v1": "services"}
UPSTREAM = {"created": 5.4, "writes": 7.0, "updated": 3.2}
OTHERS = "kmcp 14.0 s, 7.8 writes, update 15.8 s; vitorbari 14.9 s, 13.4 writes, update 4.9 s"


def observed(obj: dict[str, Any]) -> int:
    """The generation that its status is of."""
    return int(obj.get("status", {}).get("observedGeneration", 0))


async def send(servers: Servers, revision: int) -> float:
    """Create them, or edit them; seconds until every status is of the current generation."""
    told = await servers.watch(servers.path, SERVERS, lambda obj: observed(obj) > revision)
    started = time.monotonic()
    await servers.send_all(SERVERS, revision)
    await told
    took = time.monotonic() - started
    await check(servers)
    return took


async def check(servers: Servers) -> None:
    """Everything is there, and says so."""
    for version, plural in COLLECTIONS.items():
        found = await servers.items(collection(servers.namespace, version, plural))
        assert len(found) == SERVERS, plural
    # A list may lag behind a watch when the disk is slow; a status that went back would stay.
    for _ in range(50):
        items = await servers.items(servers.path)
        behind = [item for item in items if observed(item) != item["metadata"]["generation"]]
        if not behind:
            break
        await asyncio.sleep(0.1)
    assert len(items) == SERVERS, len(items)
    assert not behind, len(behind)


async def send_bare(servers: Servers, other: Servers, revision: int) -> float:
    """The same requests in `other` without an operator, which made `servers`: seconds for the users' and its own.

    Each of its own is sent as soon as the user's is done.
    """
    made = {plural: await known(servers, version, plural) for version, plural in COLLECTIONS.items()}
    statuses = {item["metadata"]["name"]: item["status"] for item in await servers.items(servers.path)}
    users, workers = asyncio.Semaphore(CLIENTS), asyncio.Semaphore(WORKERS)

    async def one(number: int) -> None:
        name = f"s{number}"
        async with users:
            await other.send(number, revision)
        async with workers:
            for version, plural in COLLECTIONS.items():
                # An edit changes the Deployment alone.
                if plural == "deployments" or not revision:
                    path = f"{collection(other.namespace, version, plural)}/mcpserver-{name}"
                    await other.patch(path, made[plural][f"mcpserver-{name}"], "apply-patch+yaml")
            steps = [{"op": "add", "path": "/status", "value": statuses[name]}]
            await other.patch(f"{other.path}/{name}/status", steps, "json-patch+json")

    started = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(SERVERS)))
    return time.monotonic() - started


async def known(servers: Servers, version: str, plural: str) -> dict[str, Any]:
    """What the operator made, as it was applied: without what only the API server sets, and without owners."""
    found = {}
    for item in await servers.items(collection(servers.namespace, version, plural)):
        meta = {key: item["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
        spec = {key: value for key, value in item["spec"].items() if not key.startswith("clusterIP")}
        kind = plural.capitalize().removesuffix("s")
        found[meta["name"]] = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
    return found


def writes(plane: ControlPlane, before: Counter[Any]) -> Counter[Any]:
    """What was written since, without what the clients wrote."""
    return Counter({key: n for key, n in (plane.writes() - before).items() if key[1] != "mcpservers" or key[2]})


async def one_round(plane: ControlPlane) -> dict[str, float]:
    """All figures once, in a namespace of its own."""
    namespace, other = namespaces.create(plane.client), namespaces.create(plane.client)
    found: dict[str, float] = {}
    async with connected(plane) as session:
        servers, bare = Servers(session, namespace), Servers(session, other)
        with OperatorProcess(plane, namespace, [namespace], {"KAOS_LOG_LEVEL": "INFO"}) as operator:
            process = psutil.Process(operator.pid)
            before, cpu = plane.writes(), process.cpu_times()
            found["created"] = await send(servers, 0)
            await asyncio.sleep(1)
            found["writes"] = sum(writes(plane, before).values()) / SERVERS
            spent = process.cpu_times()
            found["cpu"] = spent.user + spent.system - cpu.user - cpu.system
            found["created bare"] = await send_bare(servers, bare, 0)
            before = plane.writes()
            found["updated"] = await send(servers, 1)
            await asyncio.sleep(1)
            found["update writes"] = sum(writes(plane, before).values()) / SERVERS
            found["updated bare"] = await send_bare(servers, bare, 1)
            found["memory"] = process.memory_full_info().pss / 2**20
            operator.stop()
            before = plane.writes()
            started = time.monotonic()
            operator.start()
            # One edit: when it is done, the new process has seen everything.
            told = await servers.watch(servers.path, 1, lambda obj: observed(obj) > 2)
            await servers.send(SERVERS - 1, 2)
            await told
            found["restart"] = time.monotonic() - started
            await asyncio.sleep(3)
            changed = writes(plane, before)
            found["restart writes"] = sum(changed.values()) - 2  # the edit: its Deployment and its status
            found["memory after restart"] = psutil.Process(operator.pid).memory_full_info().pss / 2**20
    for each in (namespace, other):
        namespaces.delete(plane.client, each)
    return found


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
