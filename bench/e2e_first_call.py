"""From an MCPServer to its first answered call, in a real cluster: `python bench/e2e_first_call.py [ROUNDS]`.

The images are on the nodes and an operator runs (`python -m e2e.prepare` does the one, helm the other). Each round
makes a server in a namespace of its own and prints seconds after `kubectl apply` began, by the clock of this machine
(the time stamps of Kubernetes have whole seconds):

    call     a tool has answered through the Service, by the API server's service proxy
    Ready    `kubectl wait` has seen it in the status

Medians, and the sizes of the images. What a round measures is one pod on an idle cluster, not a throughput.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from e2e import tools
from e2e.kubectl import PATIENCE, Kubectl
from e2e.servers import saying, server
from images import builder, make

MB = 1_000_000


async def answered(url: str, headers: dict[str, str]) -> None:
    """Return when the tool has answered. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(Exception):
                if await tools.call(url, "say", {}, headers) == "here":
                    return
            await asyncio.sleep(0.02)


def after(began: float, what: Callable[[], object]) -> float:
    """When that was over, in seconds."""
    what()
    return time.monotonic() - began


def one_round(origin: str) -> dict[str, float]:
    """The times of one server. Raises KubectlError or TimeoutError."""
    namespace = f"kaos-bench-{uuid.uuid4().hex[:8]}"
    Kubectl()("create", "namespace", namespace)
    kubectl = Kubectl(namespace)
    try:
        began = time.monotonic()
        kubectl.apply(server("first", params=saying("here")))
        with ThreadPoolExecutor() as pool:
            waiting = {
                "call": lambda: asyncio.run(answered(*tools.proxied(origin, namespace, "first"))),
                "Ready": lambda: kubectl.wait("mcp/first", "condition=Ready"),
            }
            ends = {name: pool.submit(after, began, what) for name, what in waiting.items()}
            return {name: end.result() for name, end in ends.items()}
    finally:
        Kubectl()("delete", "namespace", namespace, "--wait=false")


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    there = Kubectl().run("get", "crd", "mcpservers.kaos.tools")
    if there.returncode:
        print(f"nothing is measured: no cluster with KAOS in it ({there.stderr.strip()})")
        return
    with Kubectl().proxy() as origin:
        found = [one_round(origin) for _ in range(rounds)]
    for name in found[0]:
        values = sorted(round_[name] for round_ in found)
        print(f"{name:8} median {statistics.median(values):5.2f} s   {values[0]:.2f} to {values[-1]:.2f}")
    version = subprocess.run(["kubectl", "version"], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    print(f"{rounds} rounds, {os.cpu_count()} cores, {version}")
    tool = builder.find(os.environ)
    for ref in make.refs().values():
        print(f"{ref}  {tool.size(ref) / MB:.0f} MB")


if __name__ == "__main__":
    main()
