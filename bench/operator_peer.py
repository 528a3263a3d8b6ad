"""Ours and the upstream Go operator in turns, on one machine: all MCPServers created, all edited, writes for each.

    git clone https://github.com/axsaucedo/kaos PEER
    KAOS_BENCH_PEER=PEER nox -s bench -- operator_peer

The peer is built from that checkout with Go, has an API server of its own with its own CRDs, and the rights of an
administrator. Created is: every status has a phase, and every Deployment and Service is there. Updated is: every
Deployment has the new code; of ours the status has to say so, too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from controlplane import namespaces
from controlplane.binaries import find
from controlplane.load import CLIENTS, Servers, collection, connected
from controlplane.operators import OperatorProcess
from controlplane.server import ControlPlane

SERVERS = int(os.environ.get("KAOS_BENCH_SERVERS", "300"))
ROUNDS = int(os.environ.get("KAOS_BENCH_ROUNDS", "3"))
SYSTEM = "kaos-system"


class Side:
    """One operator with its API server. `runtime` is its word for Python code, `observes` whether it tells versions."""

    def __init__(self, plane: ControlPlane, runtime: str, *, observes: bool) -> None:
        self.plane = plane
        self.runtime = runtime
        self.observes = observes
        self.rounds: list[dict[str, float]] = []

    async def measure(self, namespace: str, pid: int) -> None:
        """One round."""
        found: dict[str, float] = {}
        async with connected(self.plane) as session:
            servers = Servers(session, namespace, self.runtime)
            for what, revision in (("created", 0), ("updated", 1)):
                writes, cpu = self.plane.writes(), _cpu(pid)
                found[what] = await self.send(servers, revision)
                await asyncio.sleep(2)
                # The clients wrote each server once.
                found[f"{what}, writes"] = sum((self.plane.writes() - writes).values()) / SERVERS - 1
                found[f"{what}, CPU"] = _cpu(pid) - cpu
            found["memory"] = psutil.Process(pid).memory_full_info().pss / 2**20
        self.rounds.append(found)

    async def send(self, servers: Servers, revision: int) -> float:
        """Create them, or edit them; seconds until all is done."""

        def told(obj: dict[str, Any]) -> bool:
            status = obj.get("status", {})
            return status.get("observedGeneration", 0) > revision if self.observes else bool(status.get("phase"))

        # Objects that are done already count when they change.
        parts: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
            (servers.path, told),
            (
                collection(servers.namespace, "apps/v1", "deployments"),
                lambda obj: obj["metadata"]["generation"] > revision,
            ),
        ]
        if not revision:
            parts.append((collection(servers.namespace, "v1", "services"), lambda _: True))
        waits = [await servers.watch(path, SERVERS, done) for path, done in parts]
        started = time.monotonic()
        await servers.send_all(SERVERS, revision)
        await asyncio.gather(*waits)
        return time.monotonic() - started


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
            ours = Side(first, "rawpython", observes=True)
            peer = Side(second, "python-string", observes=False)
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
