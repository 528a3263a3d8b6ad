"""Real servers for the tests: forked from one parent that has imported the server, as the local target does it."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest


class Parent:
    """The forking parent and the line protocol with it."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("forking_parent.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.threads = self._read()["threads"]

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the forking parent ended"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@dataclass
class Server:
    """One running (or refused) server."""

    parent: Parent
    pid: int
    port: int
    log_path: Path
    status: int | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait(self, seconds: float = 60) -> int | None:
        """The exit status; None if it still runs."""
        if self.status is None:
            self.status = self.parent.ask(wait=self.pid, seconds=seconds)["status"]
        return self.status

    def until_ready(self) -> "Server":
        deadline = time.monotonic() + 60
        with httpx2.Client(base_url=self.origin, timeout=10) as http:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if http.get("/ready").status_code == 200:
                        return self
                assert self.wait(0.02) is None, f"the server ended with {self.status}: {self.log}"
                assert time.monotonic() < deadline, f"not ready: {self.log}"

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        with httpx2.Client(base_url=self.origin, timeout=30) as http:
            return http.request(method, path, **options)

    def connected(self, mode: str = "auto") -> Any:
        from fastmcp import Client

        return Client(self.url, mode=mode, timeout=60)

    def call(self, tool: str, arguments: dict[str, Any] | None = None, mode: str = "auto") -> Any:
        """One call with a client of its own; errors are results."""

        async def run() -> Any:
            async with self.connected(mode) as client:
                return await client.call_tool(tool, arguments or {}, raise_on_error=False)

        return asyncio.run(run())

    def end(self) -> None:
        if self.wait(0.001) is None:
            os.kill(self.pid, signal.SIGKILL)
            assert self.wait() is not None

    def processes(self) -> list[int]:
        """The server's process and all below it."""
        return [self.pid, *descendants(self.pid)]


def descendants(pid: int) -> list[int]:
    """Each thread has a list of the children that it forked."""
    direct: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                direct += map(int, (task / "children").read_text().split())
    return [found for child in direct for found in (child, *descendants(child))]


def text(result: Any) -> str:
    return "".join(block.text for block in result.content)


def gone(pids: list[int]) -> bool:
    """Waits until none of the processes is there (zombies are not)."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.fixture(scope="session")
def parent() -> Iterator[Parent]:
    made = Parent()
    yield made
    made.close()


@pytest.fixture(scope="session")
def launch(parent: Parent, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Server]:
    """Starts a server; whoever uses this ends it."""
    folder = tmp_path_factory.mktemp("servers")
    folder.chmod(0o777)
    for above in folder.parents[:2]:
        above.chmod(0o755)  # the server of one test runs as another user
    count = iter(range(10_000))

    def start(code: str | None = None, *, uid: int | None = None, argv: tuple[str, ...] = (), **env: str) -> Server:
        port = free_port()
        if code is not None:
            env["MCP_TOOLS_STRING"] = code
        log = folder / f"{next(count)}.log"
        log.touch()
        log.chmod(0o666)
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START") if name in os.environ
        }
        answer = parent.ask(
            env={**kept, **env}, argv=["--host", "127.0.0.1", "--port", str(port), *argv], log=str(log), uid=uid
        )
        return Server(parent, answer["pid"], port, log)

    return start


def free_port() -> int:
    """Below those that the kernel gives to clients: between this look and the server's, one of them could be given."""
    while True:
        port = random.randrange(11_000, 17_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def ending(launch: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """`launch`, with an end to everything it started."""
    made: list[Server] = []

    def run(*args: Any, **options: Any) -> Server:
        made.append(launch(*args, **options))
        return made[-1]

    yield run
    for server in made:
        server.end()


@pytest.fixture
def start(launch: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    with ending(launch) as run:
        yield run


@pytest.fixture(scope="module")
def shared(launch: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the module."""
    with ending(launch) as run:
        yield run


@pytest.fixture(scope="session", name="text")
def text_fixture() -> Callable[[Any], str]:
    return text


@pytest.fixture(scope="session", name="gone")
def gone_fixture() -> Callable[[list[int]], bool]:
    return gone
