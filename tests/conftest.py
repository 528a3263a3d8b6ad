"""What the tests across packages share: the checkout, and the `kaos` command in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from kaos_cli.local.identity import writing_below

ROOT = Path(__file__).parent.parent
PATIENCE = 100
_PORTS = 100
"""How many ports each home gets: tests beside this one serve the same examples, which choose the same ports."""


class Kaos:
    """Runs `kaos` as a user's shell would; everything that it may write is below `home`."""

    def __init__(self, home: Path, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.store = home / "store"
        self.python = python
        first = 20000 + zlib.crc32(f"{os.getpid()} {home}".encode()) % 120 * _PORTS
        self.env = {
            # The console script of this very environment comes first, also where it is not activated.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "XDG_CACHE_HOME": str(home / "cache"),
            "KAOS_HOME": str(self.store),
            "KAOS_GATEWAY_PORT": "0",
            "KAOS_LOCAL_FIRST_PORT": str(first),
            "KAOS_LOCAL_LAST_PORT": str(first + _PORTS - 1),
        }

    def __call__(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-c", "import sys; from kaos_cli.main import main; sys.exit(main())", *map(str, arguments)],
            env={**self.env, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def url(self, name: str, namespace: str = "default") -> str:
        """Where a server is served, as `kaos ps` says it."""
        listed = self("ps", "-o", "json")
        found = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item["status"]["serviceEndpoint"]
            for item in json.loads(listed.stdout)
        }
        return str(found[namespace, name])

    def stop(self) -> None:
        """Stop everything, and prove that nothing is left running."""
        if not self.store.exists():
            return
        done = self("down")
        assert done.returncode == 0, done.stderr
        assert self._left() == []

    def _left(self) -> list[list[str]]:
        """Who writes below the store or names it: servers, the supervisor, fork parents."""
        writing = {identity.pid for identity in writing_below(self.store)}
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid in writing or str(self.store) in " ".join(process.cmdline()):
                    found.append(process.cmdline())
            except psutil.Error:
                continue
        return found


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def kaos(tmp_path: Path) -> Iterator[Kaos]:
    """`kaos("mcp", "list")` runs it in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    runner = Kaos(tmp_path, folder)
    yield runner
    runner.stop()


@pytest.fixture(scope="module")
def shared_kaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaos]:
    """The same for all tests of a module."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "work"
    folder.mkdir()
    runner = Kaos(home, folder)
    yield runner
    runner.stop()


@pytest.fixture
def kaos_of() -> type[Kaos]:
    """Makes another one: `kaos_of(home, folder, python)`."""
    return Kaos


@pytest.fixture(scope="session")
def python_with_echo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment on top of this one in which examples/kaos-runtime-echo is installed, from its own wheel.

    This one must stay as it is: every other test would see the plugin.
    """
    folder = tmp_path_factory.mktemp("with-echo")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")],
        cwd=ROOT / "examples" / "kaos-runtime-echo",
        check=True,
        capture_output=True,
        text=True,
    )
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    (site / "parent.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in sys.path if path.endswith("site-packages"))
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    kaos = python.with_name("kaos")
    kaos.write_text(f"#!{python}\nimport sys\nfrom kaos_cli.main import main\nsys.exit(main())\n")
    kaos.chmod(0o755)
    return str(python)
