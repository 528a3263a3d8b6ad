"""The installed `kaos` in a home of its own: for every test a store, a cache and a working folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from kaos_cli.local.ports import is_free

KAOS = Path(sys.executable).with_name("kaos")
CALCULATOR = textwrap.dedent(
    '''\
    apiVersion: kaos.tools/v1alpha1
    kind: MCPServer
    metadata:
      name: calculator
    spec:
      runtime: rawpython
      params: |
        code: |
          def add(a: int, b: int) -> int:
              """Add two numbers."""
              return a + b

          def divide(a: int, b: int) -> str:
              """Divide a by b."""
              return str(a // b)
    '''
)

OFFERS = """
from kaos_core.plugin import Command, hookimpl

@hookimpl
def kaos_commands():
    return [Command("{command}", "{text}", "{target}")]
"""


class Kaos:
    """Runs the console script as a user's shell would; everything it may write is below `home`."""

    program = KAOS
    calculator = CALCULATOR

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.store = home / "store"
        # A band of its own: two stores would choose the same port for two servers of one name.
        first = 20_000 + zlib.crc32(str(home).encode()) % 11_000
        gateway = next(port for port in range(first + 51, first + 200) if is_free(port))
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "KAOS_HOME": str(self.store),
            "KAOS_GATEWAY_PORT": str(gateway),
            "KAOS_LOCAL_FIRST_PORT": str(first),
            "KAOS_LOCAL_LAST_PORT": str(first + 50),
            "COLUMNS": "80",
        }
        self.started: list[subprocess.Popen[str]] = []

    def __call__(
        self, *arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [KAOS, *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            env={**self.env, **(env or {})},
            cwd=self.folder,
            capture_output=True,
            timeout=90,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [KAOS, *arguments],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # An interactive shell's child: SIGINT is not ignored, as it is in a background job.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.started.append(process)
        return process

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def is_untouched(self) -> bool:
        """Whether no command has done anything: the store was not even made."""
        return not self.store.exists()

    def processes(self) -> list[str]:
        """What still runs with this store in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("KAOS_HOME") == str(self.store) or str(self.store) in " ".join(
                    process.cmdline()
                ):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


@pytest.fixture
def kaos(tmp_path: Path) -> Iterator[Kaos]:
    """`kaos("mcp", "list")` runs it; at the end everything is stopped, and nothing may be left running."""
    folder = tmp_path / "work"
    folder.mkdir()
    runner = Kaos(tmp_path / "home", folder)
    yield runner
    for process in runner.started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)
    if not runner.is_untouched():
        runner("down")
        assert runner.processes() == []


class Site:
    """A folder of installed plugins: `plugin("hello", "…source…")` makes a distribution and its module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, source: str, **modules: str) -> Path:
        info = self.folder / f"kaos_plugin_{name}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kaos-plugin-{name}\nVersion: 1.2.3\n")
        (info / "entry_points.txt").write_text(f"[kaos]\n{name} = kaos_plugin_{name}\n")
        for module, text in {f"kaos_plugin_{name}": source, **modules}.items():
            (self.folder / f"{module}.py").write_text(textwrap.dedent(text))
        return self.folder / f"kaos_plugin_{name}.py"

    @staticmethod
    def offering(command: str, target: str = "nowhere:app", text: str = "Say hello.") -> str:
        """The source of a plugin that offers one command."""
        return OFFERS.format(command=command, target=target, text=text)


@pytest.fixture
def plugin(tmp_path: Path, kaos: Kaos) -> Site:
    """Plugins that `kaos` finds on its path."""
    folder = tmp_path / "site"
    folder.mkdir()
    kaos.env["PYTHONPATH"] = str(folder)
    return Site(folder)
