"""One tool call through the rawpython server and through plain FastMCP: same function, same client, alternating.

Run it with an interpreter that has both: `python bench/rawpython_call.py [--calls 100] [--batches 10]`. It prints the
median and 95th percentile of both in milliseconds, the ratio of the medians, and the versions; for the 2026 protocol
and for a session client of 2025. The goal is a ratio of at most 1.05.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

CODE = '''
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
'''
PLAIN = f"""
import sys
from fastmcp import FastMCP
mcp = FastMCP("plain")
@mcp.tool
{CODE.strip()}
mcp.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
"""
QUIET = {"FASTMCP_CHECK_FOR_UPDATES": "off", "FASTMCP_LOG_LEVEL": "WARNING", "FASTMCP_ENV_FILE": os.devnull}


@contextlib.contextmanager
def running(*arguments: str, **variables: str) -> Iterator[int]:
    """A server process on a free loopback port, ended afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    process = subprocess.Popen(  # our own interpreter and code
        command, env={**os.environ, **QUIET, **variables}, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[1]} did not start (exit status {process.poll()})")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


async def batch(client: Any, calls: int) -> list[float]:
    """Seconds of each call, one after the other."""
    times = []
    for number in range(calls):
        started = time.perf_counter()
        result = await client.call_tool("add", {"a": number, "b": 1})
        times.append(time.perf_counter() - started)
        if result.data != number + 1:
            raise SystemExit(f"wrong answer: {result}")
    return times


async def compare(mode: str, ours: int, plain: int, batches: int, calls: int) -> float:
    """Print one line of figures; the ratio of the medians."""
    from fastmcp import Client

    times: dict[str, list[float]] = {"rawpython": [], "plain": []}
    async with (
        Client(f"http://127.0.0.1:{ours}/mcp", mode=mode) as a,
        Client(f"http://127.0.0.1:{plain}/mcp", mode=mode) as b,
    ):
        for client in (a, b):
            await batch(client, calls // 2)
        for number in range(batches):
            pairs = [("rawpython", a), ("plain", b)]
            for name, client in pairs if number % 2 else reversed(pairs):
                times[name] += await batch(client, calls)
        version = a.protocol_version
    ratio = statistics.median(times["rawpython"]) / statistics.median(times["plain"])
    shown = "  ".join(
        f"{name} p50 {statistics.median(values) * 1e3:.2f} ms p95 {statistics.quantiles(values, n=20)[-1] * 1e3:.2f} ms"
        for name, values in times.items()
    )
    sys.stdout.write(f"{version}: {shown}  ratio {ratio:.3f}\n")
    return ratio


def main() -> int:
    """Exit status 1 when a ratio is over `--limit`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=100, help="calls in a batch")
    parser.add_argument("--batches", type=int, default=10, help="batches of each server")
    parser.add_argument("--limit", type=float, default=1.05, help="ratio that is still good")
    options = parser.parse_args()
    names = ("kaos-runtime-rawpython", "fastmcp", "mcp", "uvicorn", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    sys.stdout.write(f"Python {platform.python_version()}, {os.cpu_count()} cores, {versions}\n")
    with (
        running(
            "-m", "kaos_runtime_rawpython.server", "--host", "127.0.0.1", "--port", "{port}", MCP_TOOLS_STRING=CODE
        ) as ours,
        running("-c", PLAIN, "{port}") as plain,
    ):
        ratios = [
            asyncio.run(compare(mode, ours, plain, options.batches, options.calls)) for mode in ("auto", "legacy")
        ]
    return int(max(ratios) > options.limit)


if __name__ == "__main__":
    sys.exit(main())
