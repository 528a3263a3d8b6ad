"""What the tests across packages share: the checkout, the `kaos` command in a home of its own, and a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from kaos_cli.local.identity import writing_below

if TYPE_CHECKING:
    from controlplane.node import FakeNode
    from controlplane.server import ControlPlane

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


SYSTEM = "kaos-system"
PLURALS = ("agents", "mcpservers", "modelapis")
IMAGES = {
    "registry.example/team-python:v1.0.0": ["{python}", "-m", "kaos_runtime_rawpython.server", "--port", "{port}"]
}
"""What stands for the images of our pages on the node."""


class Cluster:
    """An API server of its own with an operator that serves all of it, as the manuals have it: from `kaos-system`.

    `node` runs what is in the namespaces of `namespace`, and of `node.add`.
    """

    def __init__(self, plane: ControlPlane, node: FakeNode) -> None:
        self.plane = plane
        self.node = node
        self.kubectl = Path(plane.binaries.kubectl)

    def env(self, namespace: str) -> dict[str, str]:
        """What makes kubectl a client of this cluster, as the administrator, in a namespace."""
        from controlplane.kubeconfig import kubeconfig, write_private

        text = kubeconfig(self.plane.url, self.plane.authority.read_bytes(), "admin", self.plane.token(), namespace)
        file = write_private(self.plane.folder / f"kubeconfig-of-{namespace}", text)
        # Ports come again: what kubectl knows of another API server must not be taken for this one's.
        return {"KUBECONFIG": str(file), "KUBECACHEDIR": str(self.plane.folder / "kubectl")}

    @contextmanager
    def namespace(self, name: str = "", *, runs: bool = True) -> Iterator[str]:
        """A new one. `runs`: the node is responsible for it. What was made in it, and in the registry, is removed."""
        from controlplane import namespaces

        made = namespaces.create(self.plane.client, name)
        if runs:
            self.node.add(made)
            for image, command in IMAGES.items():
                self.node.serve(image, command)
        try:
            yield made
        finally:
            ours = [f"/apis/kaos.tools/v1alpha1/namespaces/{made}/{plural}" for plural in PLURALS]
            # The rest goes with the API server.
            for path in (*self._overlays(), *ours):
                self.plane.request("DELETE", path)
            if runs:
                self.node.remove(made)

    def _overlays(self) -> list[str]:
        root = f"/api/v1/namespaces/{SYSTEM}/configmaps"
        _, listed = self.plane.request("GET", f"{root}?labelSelector=kaos.tools%2Fruntime-registry")
        return [f"{root}/{item['metadata']['name']}" for item in listed["items"]]


@pytest.fixture(scope="session")
def cluster(control_plane: Any) -> Iterator[Cluster]:
    """Beside the one that all tests share, for an operator of the whole cluster would serve their namespaces too."""
    from controlplane import namespaces
    from controlplane.node import FakeNode
    from controlplane.operators import OperatorProcess
    from controlplane.server import ControlPlane

    with ControlPlane(control_plane.binaries, audit=False) as plane, FakeNode(plane, []) as node:
        namespaces.create(plane.client, SYSTEM)
        # The Lease as long as in a cluster: pages are no tests of what happens without it.
        settings = {"KAOS_PROBE_URL": node.probe_url, "KAOS_LEASE_SECONDS": "15"}
        with OperatorProcess(plane, SYSTEM, settings=settings):
            yield Cluster(plane, node)


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
