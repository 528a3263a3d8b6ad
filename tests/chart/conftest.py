"""What the tests of the charts share: a real helm, without a cluster and with folders of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controlplane.beforehand import beforehand
from helm.environment import alone

if TYPE_CHECKING:
    from helm.binary import HelmError

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kaos"
CRDS = ROOT / "charts" / "kaos-crds"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
SYSTEM = "kaos-system"
Object = dict[str, Any]

_FOUND: pytest.StashKey[Path | HelmError] = pytest.StashKey()


def pytest_collection_finish(session: pytest.Session) -> None:
    def get(say: Callable[[str], object]) -> None:
        from helm.binary import HelmError, find

        try:
            session.config.stash[_FOUND] = find(say)
        except HelmError as error:
            session.config.stash[_FOUND] = error

    beforehand(session, "helm", get)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "helm" in getattr(item, "fixturenames", ()):
            item.add_marker("servers")


class Helm:
    """Runs helm; `render` gives what it makes of a chart."""

    def __init__(self, program: Path, home: Path) -> None:
        self.program = program
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
        self.env = {**alone(kept, home), "HOME": str(home)}

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def template(
        self, *arguments: str | Path, values: Mapping[str, Any] | None = None, chart: Path = CHART
    ) -> subprocess.CompletedProcess[str]:
        """`helm template kaos CHART -n kaos-system` with these values and arguments."""
        files: list[str | Path] = []
        if values is not None:
            file = self.home / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
            files = ["-f", file]
        return self("template", "kaos", chart, "-n", SYSTEM, *files, *arguments)

    def render(
        self, *arguments: str | Path, values: Mapping[str, Any] | None = None, chart: Path = CHART
    ) -> list[Object]:
        """The objects of that."""
        done = self.template(*arguments, values=values, chart=chart)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="session")
def helm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """A real one."""
    found = request.config.stash[_FOUND]
    if isinstance(found, Exception):
        raise found
    return Helm(found, tmp_path_factory.mktemp("helm"))


class Rendered:
    """Objects by kind and name."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = list(objects)

    def all(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str = "") -> Object:
        (found,) = [one for one in self.all(kind) if name in ("", one["metadata"]["name"])]
        return found

    @property
    def pod(self) -> Object:
        """The template of the operator's pod."""
        return dict(self.one("Deployment")["spec"]["template"])

    @property
    def container(self) -> Object:
        (found,) = self.pod["spec"]["containers"]
        return dict(found)

    @property
    def env(self) -> dict[str, str]:
        """The operator's variables, as its pod `kaos-operator-0` has them."""
        fields = {"metadata.namespace": SYSTEM, "metadata.name": "kaos-operator-0"}
        return {
            one["name"]: one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
            for one in self.container["env"]
        }


@pytest.fixture(scope="session")
def rendered() -> type[Rendered]:
    return Rendered
