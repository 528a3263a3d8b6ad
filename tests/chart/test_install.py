"""A real API server takes what the charts render, and the operator works with the rights that it gets by it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

ROOT = Path(__file__).parents[2]
CI = ROOT / "charts" / "kaos" / "ci"
WITHOUT_CRDS = {"ServiceMonitor", "PrometheusRule"}
"""Of the Prometheus operator, which the API server of the tests does not have."""
Apply = Callable[[list[dict[str, Any]]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """One of its own: the policy and cluster-wide roles are nobody else's concern."""
    from controlplane.server import ControlPlane

    with ControlPlane(control_plane.binaries, audit=False) as made:
        for name in ("kaos-system", "team-a", "team-b"):
            made.kubectl("create", "namespace", name)
            made.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        # The one of ci/existing-values.yaml.
        made.kubectl("create", "serviceaccount", "operators", "-n", "kaos-system")
        yield made


@pytest.fixture
def apply(plane: ControlPlane) -> Iterator[Apply]:
    """Applies objects, and takes them away again."""
    made: list[dict[str, Any]] = []

    def run(objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        made.extend(objects)
        return plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(objects))

    yield run
    plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", input=yaml.safe_dump_all(made))


@pytest.mark.parametrize("values", sorted(CI.glob("*-values.yaml")), ids=lambda path: path.stem)
def test_a_real_api_server_takes_the_chart(helm: Any, apply: Apply, values: Path):
    objects = [one for one in helm.render("-f", values) if one["kind"] not in WITHOUT_CRDS]
    done = apply(objects)
    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" not in done.stderr
    assert len(done.stdout.splitlines()) == len(objects)
    again = apply(objects)
    assert again.returncode == 0, again.stderr


def test_a_real_api_server_takes_the_crds_of_the_chart(helm: Any, plane: ControlPlane):
    text = yaml.safe_dump_all(helm.render(chart=ROOT / "charts" / "kaos-crds"))
    done = plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("values", ["default", "namespace"])
def test_the_check_of_helm_test_passes_with_the_charts_rights(
    helm: Any, rendered: Any, apply: Apply, plane: ControlPlane, values: str
):
    """The same program, environment and ServiceAccount as in the test's pod; only the machine is another one."""
    import os
    import sys

    got = rendered(helm.render("-f", CI / f"{values}-values.yaml"))
    assert apply(got.objects).returncode == 0
    kubeconfig = plane.kubeconfig_for(got.pod["spec"]["serviceAccountName"], "kaos-system")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAOS_")}
    command = [sys.executable, *got.container["command"][1:], "check"]
    done = subprocess.run(
        command, env={**kept, **got.env, "KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert ("in team-b" in done.stdout) == (values == "namespace")


def test_the_check_of_helm_test_fails_without_rights(helm: Any, rendered: Any, apply: Apply, plane: ControlPlane):
    import os
    import sys

    got = rendered(helm.render("--set", "rbac.create=false"))
    assert apply(got.objects).returncode == 0
    kubeconfig = plane.kubeconfig_for("kaos-operator", "kaos-system")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAOS_")}
    done = subprocess.run(
        [sys.executable, "-m", "kaos_operator", "check"],
        env={**kept, **got.env, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "forbidden" in done.stdout.lower()
