"""What others cost the operator: ten MCP servers that hang, and two thousand Deployments of strangers.

1. p99 from an edit to its applied Deployment, with ten hung servers / without. Target: at most 2.
2. Memory (PSS) with 2,000 unrelated Deployments in the cluster / without. Target: about 1.

Both in one run on a real API server on this machine: `nox -s bench -- operator_company`.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from controlplane import namespaces
from controlplane.binaries import find
from controlplane.load import CLIENTS, collection, connected
from controlplane.operators import OperatorProcess
from controlplane.server import ControlPlane

EDITS, HUNG, STRANGERS = 200, 10, 2000
MERGE = {"Content-Type": "application/merge-patch+json"}


class Mute:
    """A port that accepts and never answers."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.held.append(self.listener.accept()[0])
            except OSError:
                return


def server(name: str, revision: int = 0) -> dict[str, Any]:
    """An MCPServer whose code differs by revision."""
    code = f"def add(a: int) -> int:\n    return a + {revision}\n"
    spec = {"runtime": "rawpython", "params": code}
    return {"apiVersion": "kaos.tools/v1alpha1", "kind": "MCPServer", "metadata": {"name": name}, "spec": spec}


class Cluster:
    """One namespace of the API server."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str) -> None:
        self.session = session
        self.servers = collection(namespace, "kaos.tools/v1alpha1", "mcpservers")
        self.deployments = collection(namespace, "apps/v1", "deployments")

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        """One request; its JSON."""
        async with self.session.request(method, path, json=body, headers=headers) as answer:
            return await answer.json()

    async def generation(self, name: str) -> int:
        """Of a server's Deployment; 0 while there is none."""
        found = await self.ask("GET", f"{self.deployments}/mcpserver-{name}")
        return int(found.get("metadata", {}).get("generation", 0))

    async def until(self, name: str, generation: int) -> None:
        """Wait for that generation of its Deployment."""
        while await self.generation(name) < generation:
            await asyncio.sleep(0.002)

    async def serve(self, name: str) -> None:
        """As a kubelet would say it: it runs and is available, so the operator asks it who it is."""
        await self.until(name, 1)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        status = {"status": {"observedGeneration": 1, **counts}}
        await self.ask("PATCH", f"{self.deployments}/mcpserver-{name}/status", status, MERGE)

    async def p99(self, revision: int) -> float:
        """Seconds from an edit to the Deployment that has it."""
        taken = []
        for number in range(EDITS):
            before = await self.generation("edited")
            started = time.monotonic()
            body = server("edited", revision + number)
            await self.ask("PATCH", f"{self.servers}/edited", body, MERGE)
            await self.until("edited", before + 1)
            taken.append(time.monotonic() - started)
        return statistics.quantiles(taken, n=100)[98]


async def hung(plane: ControlPlane, session: aiohttp.ClientSession) -> None:
    """The first figure."""
    namespace, mute = namespaces.create(plane.client), Mute()
    cluster = Cluster(session, namespace)
    settings = {"KAOS_PROBE_URL": f"http://127.0.0.1:{mute.port}/{{service}}{{path}}", "KAOS_LOG_LEVEL": "INFO"}
    with OperatorProcess(plane, namespace, [namespace], settings):
        await cluster.ask("POST", cluster.servers, server("edited"))
        await cluster.until("edited", 1)
        await cluster.p99(1)  # the first edits pay for imports
        without = await cluster.p99(1_000)
        for number in range(HUNG):
            await cluster.ask("POST", cluster.servers, server(f"hung-{number}"))
            await cluster.serve(f"hung-{number}")
        while len(mute.held) < 1:
            await asyncio.sleep(0.05)
        with_them = await cluster.p99(10_000)
    mute.listener.close()
    namespaces.delete(plane.client, namespace)
    ratio = with_them / without
    print(
        f"p99 edit to applied: {with_them * 1000:.1f} ms with {HUNG} hung servers ({len(mute.held)} handshakes), ",
        end="",
    )
    print(f"{without * 1000:.1f} ms without: {ratio:.2f}")


async def strangers(plane: ControlPlane, session: aiohttp.ClientSession) -> None:
    """The second figure."""
    namespace = namespaces.create(plane.client)
    cluster = Cluster(session, namespace)

    def memory() -> float:
        with OperatorProcess(plane, namespace, [], {"KAOS_LOG_LEVEL": "INFO"}) as operator:
            time.sleep(5)
            return psutil.Process(operator.pid).memory_full_info().pss / 2**20

    before = await asyncio.to_thread(memory)
    turns = asyncio.Semaphore(CLIENTS)

    async def make(number: int) -> None:
        async with turns:
            labels = {"app": f"stranger-{number}"}
            pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
            spec = {"selector": {"matchLabels": labels}, "template": pod}
            meta = {"name": f"stranger-{number}"}
            body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
            await cluster.ask("POST", cluster.deployments, body)

    await asyncio.gather(*(make(number) for number in range(STRANGERS)))
    after = await asyncio.to_thread(memory)
    namespaces.delete(plane.client, namespace)
    print(f"memory: {after:.1f} MiB with {STRANGERS} Deployments of others, {before:.1f} without: {after / before:.2f}")


async def main() -> None:
    """Both."""
    with ControlPlane(find(), audit=False) as plane:
        async with connected(plane) as session:
            await hung(plane, session)
            await strangers(plane, session)


if __name__ == "__main__":
    asyncio.run(main())
