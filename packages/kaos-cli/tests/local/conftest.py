"""A store of its own for every test, and the proof that nothing of it is left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from kaos_cli.local.identity import Identity, writing_below
from kaos_cli.local.ports import is_free
from kaos_cli.local.target import LocalTarget
from kaos_cli.target import Ref, Resource, Source
from kaos_core.plan import plan
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry

T = TypeVar("T")
PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 60.0
BAND = 50
ADD = 'def add(a: int, b: int) -> int:\n    "Add."\n    return a + b\n'


def core() -> tuple[Registry, Plugins]:
    plugins = Plugins.installed()
    return Registry.build(plugins), plugins


class Local:
    """A target with short ways to say what the tests say often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first_port = int(os.environ["KAOS_LOCAL_FIRST_PORT"])
        self.target = LocalTarget()
        self.store = self.target.store

    def apply(self, *documents: Resource, folder: Path | None = None) -> list[Ref]:
        sources = [self.source(document, folder) for document in documents]
        return [ref for ref, _ in self.target.apply(sources)]

    def source(self, document: Resource, folder: Path | None = None) -> Source:
        return Source(document, folder or self.folder, "test.yaml")

    def up(self, *documents: Resource, folder: Path | None = None) -> list[Resource]:
        refs = self.apply(*documents, folder=folder)
        found = {resource["metadata"]["name"]: resource for resource in self.target.wait(refs, PATIENCE)}
        return [found[ref.name] for ref in refs]

    def status(self, ref: Ref) -> dict[str, Any]:
        return self.store.read_json(ref, "status.json")

    def running(self, ref: Ref) -> dict[str, Any]:
        return self.store.read_json(ref, "local.json").get("run") or {}

    def log(self, ref: Ref) -> str:
        return "\n".join(self.target.logs(ref, follow=False, tail=None, previous=False))

    def supervisor(self) -> int:
        """Its process id, once it has looked at everything."""
        return int(self.until(lambda: json.loads((self.store.root / "supervisor.json").read_text()))["pid"])

    def kill_supervisor(self) -> None:
        process = psutil.Process(self.supervisor())
        process.kill()
        with suppress(psutil.NoSuchProcess):
            # It is our child when this process started it, else that of whoever did.
            process.wait(PATIENCE)

    PATIENCE = PATIENCE
    PROGRAMS = PROGRAMS
    ADD = ADD

    def log_lines(self, name: str) -> list[str]:
        return self.log(self.ref(name)).splitlines()

    def processes(self) -> list[psutil.Process]:
        return [process for process in processes_of(self.store.root) if process.pid != os.getpid()]

    def commands(self) -> dict[int, list[str]]:
        """The command lines of those that are still there at the second look, by process id."""
        found = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found[process.pid] = process.cmdline()
        return found

    def running_module(self, name: str) -> list[int]:
        """The process ids of those that were started with `-m NAME`, without what was forked from them."""
        found = {pid for pid, command in self.commands().items() if name in command}
        parents = {}
        for pid in found:
            with suppress(psutil.NoSuchProcess):
                parents[pid] = psutil.Process(pid).ppid()
        return sorted(pid for pid, parent in parents.items() if parent not in found)

    def pids_of_programs(self) -> list[int]:
        """Of everything but the supervisor and fork parents."""
        own = "kaos_cli.local."
        return [pid for pid, line in self.commands().items() if not any(part.startswith(own) for part in line)]

    def planned_names(self, name: str) -> set[str]:
        """The environment variables that the plan of a resource sets."""
        planned = plan(self.store.resource(self.ref(name)) or {}, *core())
        return {entry["name"] for entry in planned.process.env} if planned.process else set()

    @staticmethod
    def accepts(port: int) -> bool:
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            return True

    @staticmethod
    def alive(pid: int) -> bool:
        return Identity.of(pid) is not None

    @staticmethod
    def condition(resource: Resource, kind: str) -> dict[str, Any]:
        return next(c for c in resource["status"]["conditions"] if c["type"] == kind)

    @staticmethod
    def until(look: Callable[[], T], seconds: float = PATIENCE) -> T:
        """What `look` gives as soon as that is true; an error while looking counts as false."""
        deadline = time.monotonic() + seconds
        while True:
            last: object = None
            try:
                if last := look():
                    return last
            except (OSError, KeyError, ValueError, psutil.Error) as error:
                last = error
            assert time.monotonic() < deadline, f"not within {seconds:g} s; the last look gave {last!r}"
            time.sleep(0.02)

    @staticmethod
    def plain(name: str, *, env: dict[str, str] | None = None, **spec: Any) -> Resource:
        """An MCPServer that runs `programs/plain.py`, without a handshake."""
        container: dict[str, Any] = {"command": ["{python}", str(PROGRAMS / "plain.py"), "{port}"]}
        container["env"] = [{"name": key, "value": value} for key, value in (env or {}).items()]
        container["env"] += spec.pop("refs", [])
        if "envFrom" in spec:
            container["envFrom"] = spec.pop("envFrom")
        return Local.server(name, container=container, validation={"enabled": False}, **spec)

    @staticmethod
    def server(name: str, **spec: Any) -> Resource:
        """An MCPServer of the runtime rawpython."""
        return {
            "apiVersion": "kaos.tools/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": name},
            "spec": {"runtime": "rawpython", **spec},
        }

    @staticmethod
    def ref(name: str) -> Ref:
        return Ref("MCPServer", "default", name)

    @staticmethod
    def ask(resource: Resource, path: str = "/") -> Any:
        """The JSON that a `plain` server answers."""
        with urllib.request.urlopen(resource["status"]["endpoint"] + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def free_port(self) -> int:
        """Above the band of the servers and below the ports that the kernel gives to clients."""
        return next(port for port in range(self.first_port + BAND, self.first_port + 2 * BAND) if is_free(port))


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    home = tmp_path / "home"
    # A band of its own: two stores would choose the same port for two servers of one name.
    first = 20_000 + zlib.crc32(str(home).encode()) % 11_000
    settings = {
        "FIRST_PORT": str(first),
        "LAST_PORT": str(first + BAND - 1),
        "BACKOFF_FIRST": "0.05",
        "BACKOFF_LIMIT": "0.2",
        "STOP_GRACE": "5",
        "POLL": "0.2",
        "PROBE_INTERVAL": "0.5",
    }
    monkeypatch.setenv("KAOS_HOME", str(home))
    monkeypatch.setenv("KAOS_GATEWAY_PORT", "0")
    for name, value in settings.items():
        monkeypatch.setenv(f"KAOS_LOCAL_{name}", value)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "project"
    folder.mkdir()
    fixture = Local(folder)
    yield fixture
    try:
        fixture.target.down_everything()
    finally:
        left = [process for process in processes_of(home) if process.pid != os.getpid()]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        assert not left, f"left running: {left}"


def processes_of(home: Path) -> list[psutil.Process]:
    """Whoever writes below the store, or names it on the command line or in the environment."""
    writers = {identity.pid for identity in writing_below(home)}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid in writers or any(str(home) in part for part in process.cmdline()):
                found.append(process)
    return found
