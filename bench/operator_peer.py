"""Ours and the upstream Go operator in turns, on one machine: all MCPServers created, all edited, writes for each.

    git clone https://github.com/axsaucedo/kaos PEER
    KAOS_BENCH_PEER=PEER nox -s bench -- operator_peer

The peer is built from that checkout with Go, has an API server of its own with its own CRDs, and the rights of an
administrator. Created is: every status has a phase, and every Deployment and Service is there. Updated is: every
Deployment has the new code; of ours the status has to say so, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from controlplane import namespaces
from controlplane.binaries import find
from controlplane.operators import OperatorProcess
from controlplane.server import ControlPlane

SERVERS = int(os.environ.get("KAOS_BENCH_SERVERS", "300"))
ROUNDS = int(os.environ.get("KAOS_BENCH_ROUNDS", "3"))
CLIENTS = 32
SYSTEM = "kaos-system"


class Side:
    """One operator with its API server. `runtime` is its word for Python code, `observes` whether it tells versions."""

    def __init__(self, name: str, plane: ControlPlane, runtime: str, *, observes: bool) -> None:
        self.name = name
        self.plane = plane
        self.runtime = runtime
        self.observes = observes
        self.rounds: list[dict[str, float]] = []

    async def measure(self, namespace: str, pid: int) -> None:
        """One round."""
        context = ssl.create_default_context(cafile=str(self.plane.authority))
        headers = {"Authorization": f"Bearer {self.plane.token()}"}
        connector = aiohttp.TCPConnector(limit=CLIENTS + 2, ssl=context)
        found: dict[str, float] = {}
        async with aiohttp.ClientSession(self.plane.url, headers=headers, connector=connector) as session:
            self.session, self.namespace = session, namespace
            for what, revision in (("created", 0), ("updated", 1)):
                writes, cpu = self.plane.writes(), _cpu(pid)
                found[what] = await self.send(revision)
                await asyncio.sleep(2)
                done = self.plane.writes() - writes
                # Without what the clients wrote.
                theirs = sum(count for key, count in done.items() if key[1] != "mcpservers" or key[2])
                finalizers = (
                    sum(count for key, count in done.items() if key[1] == "mcpservers" and not key[2]) - SERVERS
                )
                found[f"{what}, writes"] = (theirs + finalizers) / SERVERS
                found[f"{what}, CPU"] = _cpu(pid) - cpu
            found["memory"] = psutil.Process(pid).memory_full_info().pss / 2**20
        self.rounds.append(found)

    async def send(self, revision: int) -> float:
        """Create them, or edit them; seconds until all is done."""
        servers = f"/apis/kaos.tools/v1alpha1/namespaces/{self.namespace}/mcpservers"
        deployments = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        waits = [
            await self.watch(servers, self._told(revision)),
            await self.watch(deployments, lambda obj: obj["metadata"]["generation"] > revision),
        ]
        if not revision:
            services = f"/api/v1/namespaces/{self.namespace}/services"
            waits.append(await self.watch(services, lambda _: True))
        turns = asyncio.Semaphore(CLIENTS)

        async def one(number: int) -> None:
            code = f"def add(a: int, b: int) -> int:\n    return a + b + {revision}\n"
            spec = {"runtime": self.runtime, "params": code}
            async with turns:
                if revision:
                    kind = {"Content-Type": "application/merge-patch+json"}
                    call = self.session.patch(f"{servers}/s{number}", json={"spec": spec}, headers=kind)
                else:
                    meta = {
                        "apiVersion": "kaos.tools/v1alpha1",
                        "kind": "MCPServer",
                        "metadata": {"name": f"s{number}"},
                    }
                    call = self.session.post(servers, json={**meta, "spec": spec})
                async with call as answer:
                    assert answer.status in (200, 201), await answer.text()

        started = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(SERVERS)))
        await asyncio.gather(*waits)
        return time.monotonic() - started

    def _told(self, revision: int) -> Callable[[Any], bool]:
        if self.observes:
            return lambda obj: obj.get("status", {}).get("observedGeneration", 0) > revision
        return lambda obj: bool(obj.get("status", {}).get("phase"))

    async def watch(self, path: str, done: Callable[[Any], bool]) -> asyncio.Task[None]:
        """Watch from now on until `SERVERS` objects are done. Objects that are so already count when they change."""
        async with self.session.get(path, params={"limit": "1"}) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]

        async def run() -> None:
            names: set[str] = set()
            params = {"watch": "1", "resourceVersion": version}
            async with self.session.get(path, params=params, timeout=aiohttp.ClientTimeout(total=300)) as answer:
                async for line in answer.content:
                    obj = json.loads(line)["object"]
                    if done(obj):
                        names.add(obj["metadata"]["name"])
                    if len(names) >= SERVERS:
                        return
            raise RuntimeError(f"{self.name}: {len(names)} of {SERVERS} at {path}")

        return asyncio.create_task(run())


def _cpu(pid: int) -> float:
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system


@contextmanager
def upstream(plane: ControlPlane, program: Path) -> Iterator[int]:
    """The peer, with the registry its chart would install; its process id."""
    python = {"type": "python", "image": "python-string:1", "paramsEnvVar": "MCP_TOOLS_STRING", "transport": "http"}
    registry = yaml.safe_dump({"runtimes": {"python-string": python}})
    for path, body in (
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}),
        (
            f"/api/v1/namespaces/{SYSTEM}/configmaps",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "kaos-mcp-runtimes"},
                "data": {"runtimes.yaml": registry},
            },
        ),
    ):
        plane.request("POST", path, body)
    env = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "SYSTEM_NAMESPACE": SYSTEM}
    arguments = [program, "--health-probe-bind-address=127.0.0.1:0", "--zap-devel=false"]
    with (plane.folder / "peer.log").open("ab") as log:
        process = subprocess.Popen(arguments, env=env, stdout=log, stderr=log)
    try:
        time.sleep(5)  # it says of its caches only in its log
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


async def main() -> None:
    """Both in turns, and the medians with their ratio."""
    checkout = os.environ.get("KAOS_BENCH_PEER", "")
    if not checkout:
        print("operator_peer: set KAOS_BENCH_PEER to a checkout of github.com/axsaucedo/kaos")
        return
    source = Path(checkout).resolve() / "operator"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peer"
        subprocess.run(["go", "build", "-o", program, "./"], cwd=source, check=True)
        crds = Path(shutil.copytree(source / "config" / "crd" / "bases", Path(folder) / "crds"))
        with (
            ControlPlane(find(), audit=False) as first,
            ControlPlane(find(), audit=False, crds=[crds]) as second,
        ):
            ours = Side("ours", first, "rawpython", observes=True)
            peer = Side("upstream", second, "python-string", observes=False)
            for _ in range(ROUNDS):
                namespace = namespaces.create(first.client)
                with OperatorProcess(first, namespace, [namespace], {"KAOS_LOG_LEVEL": "INFO"}) as operator:
                    await ours.measure(namespace, operator.pid)
                namespaces.delete(first.client, namespace)
                namespace = namespaces.create(second.client)
                with upstream(second, program) as pid:
                    await peer.measure(namespace, pid)
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=source, capture_output=True, text=True)
    print(f"{SERVERS} MCPServers, {CLIENTS} clients, {ROUNDS} rounds in turns, medians; {os.cpu_count()} processors")
    print(f"peer: github.com/axsaucedo/kaos {version.stdout.strip() or '(no git)'}")
    for what in ours.rounds[0]:
        one, other = (statistics.median(found[what] for found in side.rounds) for side in (ours, peer))
        print(f"{what:>18}: ours {one:7.2f}   upstream {other:7.2f}   ratio {one / other:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
