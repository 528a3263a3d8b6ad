"""How fast `kaos up` serves a file, as ratios measured in one run: `python bench/local_up.py [ROUNDS]`.

1. `kaos up -d` of one server / `fastmcp run` of the same function: time from the command to the first tool call that
   answers. Target: at most 1.3.
2. Ten servers / one: the same time until all ten have answered (at most 3), and the memory (PSS) of everything that was
   started (at most 4).

Medians of alternating rounds; every round starts from an empty store. Linux (PSS is read from /proc).
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
from fastmcp import Client

BIN = Path(sys.executable).parent
FUNCTION = 'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b\n'
PATIENCE = 60.0
FIRST_PORT = 20000


def document(name: str) -> str:
    """An MCPServer with the function."""
    code = "".join(f"    {line}\n" for line in FUNCTION.splitlines())
    head = f"apiVersion: kaos.tools/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  runtime: rawpython\n  params: |\n{code}"


def port_of(name: str) -> int:
    """Its first choice (experience L3), in a range that no other store uses meanwhile."""
    return FIRST_PORT + zlib.crc32(f"default/MCPServer/{name}".encode()) % 1000


def names(count: int) -> list[str]:
    """Names of servers whose ports are free now and all different."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        port = port_of(f"bench-{number}")
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found[port] = f"bench-{number}"
        number += 1
    return list(found.values())


async def answers(port: int) -> None:
    """Return when a tool call has succeeded."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            # Cheap while nobody listens, so that waiting costs the servers nothing.
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            with suppress(Exception):
                async with Client(f"http://127.0.0.1:{port}/mcp", timeout=10) as client:
                    result = await client.call_tool("add", {"a": 2, "b": 3})
                    if result.data == 5:
                        return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"nobody answers on port {port}")


async def all_answer(ports: list[int]) -> None:
    """Return when all have."""
    await asyncio.gather(*(answers(port) for port in ports))


def kaos_up(count: int) -> tuple[float, float]:
    """Seconds until all of `count` servers have answered, and the MiB that everything takes then."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        ports = {"KAOS_LOCAL_FIRST_PORT": str(FIRST_PORT), "KAOS_LOCAL_LAST_PORT": str(FIRST_PORT + 999)}
        env = {**os.environ, **ports, "KAOS_HOME": str(home), "KAOS_GATEWAY_PORT": str(free_port())}
        file = Path(folder) / "servers.yaml"
        chosen = names(count)
        file.write_text("---\n".join(document(name) for name in chosen))
        start = time.perf_counter()
        command = subprocess.Popen(
            [BIN / "kaos", "up", "-d", "-f", file], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            asyncio.run(all_answer([port_of(name) for name in chosen]))
            seconds = time.perf_counter() - start
            _, errors = command.communicate(timeout=PATIENCE)
            if command.returncode:
                raise SystemExit(f"kaos up failed: {errors.decode()}")
            memory = sum(pss(process) for process in started_below(home))
        except TimeoutError:
            subprocess.run([BIN / "kaos", "ps"], env=env, check=False)
            raise
        finally:
            subprocess.run([BIN / "kaos", "down"], env=env, check=True, capture_output=True)
        return seconds, memory


def fastmcp_run() -> float:
    """Seconds until a server of plain FastMCP has answered."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.py"
        file.write_text(f"from fastmcp import FastMCP\nmcp = FastMCP('bench')\n@mcp.tool\n{FUNCTION}")
        port = free_port()
        start = time.perf_counter()
        server = subprocess.Popen(
            [BIN / "fastmcp", "run", file, "--transport", "http", "--port", str(port), "--no-banner"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            asyncio.run(answers(port))
            return time.perf_counter() - start
        finally:
            server.kill()
            server.wait()


def started_below(home: Path) -> list[psutil.Process]:
    """The supervisor, which is named by the store, and all that writes below the store, with their descendants."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(file.path.startswith(f"{home}{os.sep}") for file in process.open_files()):
                found |= {process, *process.children(recursive=True)}
    return list(found)


def pss(process: psutil.Process) -> float:
    """MiB, each shared page counted in parts."""
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss) / (1 << 20)
    return 0.0


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alternating(rounds: int, *measures: Callable[[], object]) -> list[list[object]]:
    """The results of each, taken in turn, after one round that is not counted."""
    results: list[list[object]] = [[] for _ in measures]
    for number in range(rounds + 1):
        for measure, into in zip(measures, results, strict=True):
            found = measure()
            if number:
                into.append(found)
    return results


def main() -> None:
    """Print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    parts = [f"{name} {version(name)}" for name in ("kaos-tools-cli", "fastmcp", "uvicorn", "pydantic")]
    print(f"Python {platform.python_version()}, {', '.join(parts)}, {os.cpu_count()} processors, {rounds} rounds")
    ones, plains, tens = alternating(rounds, lambda: kaos_up(1), fastmcp_run, lambda: kaos_up(10))

    def median(values: list[object], index: int | None = None) -> float:
        return statistics.median(value if index is None else value[index] for value in values)  # type: ignore[index]  # a tuple when index is given

    one, plain, ten = median(ones, 0), median(plains), median(tens, 0)
    print(f"first tool call: kaos up {one:.2f} s, fastmcp run {plain:.2f} s: ratio {one / plain:.2f} (at most 1.3)")
    print(f"ten servers: {ten:.2f} s, one {one:.2f} s: ratio {ten / one:.2f} (at most 3)")
    big, small = median(tens, 1), median(ones, 1)
    print(f"memory of ten: {big:.0f} MiB, of one {small:.0f} MiB: ratio {big / small:.2f} (at most 4)")


if __name__ == "__main__":
    main()
