"""Release: the charts `kaos-crds` and `kaos`, installed with helm into a namespace of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.kubectl import PATIENCE, Kubectl

ROOT = Path(__file__).parent.parent.parent
CHARTS = ROOT / "charts"
CRDS = "kaos-crds"


class HelmError(AssertionError):
    """It failed; the message has what it said."""


def helm(*arguments: str | Path) -> str:
    """What it prints on stdout. Raises HelmError."""
    done = subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise HelmError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Release:
    """One of the chart `kaos`.

    Attributes:
        name: the release's.
        namespace: of the operator; it must exist.
        values: as `--set` takes them.
    """

    name: str
    namespace: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> str:
        """`deployment/NAME` of its operator."""
        return f"deployment/{self.manifest_names('Deployment')[0]}"

    def install(self, values: Mapping[str, str] | None = None) -> None:
        """Install or upgrade, with more values for this once; back when the operator is available.

        Raises:
            HelmError: with the end of what its pods said.
        """
        given = {**self.values, **(values or {})}
        pairs = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        where = (self.name, CHARTS / "kaos", "--namespace", self.namespace)
        try:
            helm("upgrade", "--install", *where, "--reset-values", "--wait", "--timeout", f"{PATIENCE}s", *pairs)
        except HelmError as error:
            said = Kubectl(self.namespace).run("logs", "--selector=app.kubernetes.io/name=kaos-operator", "--tail=20")
            raise HelmError(f"{error}\nits operator: {said.stdout}{said.stderr}") from error

    def uninstall(self) -> None:
        """Uninstall it; back when its pods are gone. Raises HelmError."""
        helm("uninstall", self.name, "--namespace", self.namespace, "--wait", "--ignore-not-found")
        # Helm waits for what it made, not for what was made of that.
        pods = ("pods", "--selector=app.kubernetes.io/name=kaos-operator", f"--timeout={PATIENCE}s")
        Kubectl(self.namespace)("wait", *pods, "--for=delete")

    def manifest(self) -> str:
        """What is installed, as YAML. Raises HelmError."""
        return helm("get", "manifest", self.name, "--namespace", self.namespace)

    def manifest_names(self, kind: str) -> list[str]:
        """The names of what is installed of a kind. Raises HelmError."""
        from kaos_core.documents import load_all

        documents = [document.value for document in load_all(self.manifest())]
        return [str(document["metadata"]["name"]) for document in documents if document["kind"] == kind]

    @contextmanager
    def absent(self) -> Iterator[None]:
        """Without it for a while. Raises HelmError."""
        self.uninstall()
        try:
            yield
        finally:
            self.install()


def install_crds(namespace: str) -> None:
    """The chart `kaos-crds`. Raises HelmError."""
    helm("upgrade", "--install", CRDS, CHARTS / CRDS, "--namespace", namespace, "--wait", "--timeout", f"{PATIENCE}s")


def uninstall_crds(namespace: str) -> None:
    """The release; the CRDs themselves stay, as the chart says of them. Raises HelmError."""
    helm("uninstall", CRDS, "--namespace", namespace, "--wait", "--ignore-not-found")
