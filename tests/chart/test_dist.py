"""The one-file installs are the charts, without helm: a real API server takes them from nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kaos_core.manifests.pod_security import violations

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

ROOT = Path(__file__).parents[2]
OVERLAYS = ["local", "production"]


@pytest.fixture(scope="module")
def checkout(helm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which `nox -s dist` has run: its `dist` and the overlays on top of it."""
    folder = tmp_path_factory.mktemp("checkout")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tools"), "PATH": f"{helm.program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "chart.dist", "--to", str(folder / "dist")],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shutil.copytree(ROOT / "deploy" / "kustomize", folder / "deploy" / "kustomize")
    return folder


@pytest.fixture
def bare(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """An API server without our CRDs and namespace."""
    from controlplane.server import ControlPlane

    with ControlPlane(control_plane.binaries, audit=False, crds=[control_plane.binaries.gateway_crds]) as made:
        yield made


def objects(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def test_the_files_are_there(checkout: Path):
    from kaos_core.settings import KAOS_VERSION

    assert {path.name for path in (checkout / "dist").iterdir()} == {
        "crds.yaml",
        "install.yaml",
        "monitoring.yaml",
        "kustomization.yaml",
        f"kaos-{KAOS_VERSION}.tgz",
        f"kaos-crds-{KAOS_VERSION}.tgz",
    }


def test_nothing_in_them_says_that_helm_looks_after_it(checkout: Path):
    for path in (checkout / "dist").glob("*.yaml"):
        for one in objects(path.read_text()):
            meta = one.get("metadata", {})
            assert not [key for key in meta.get("labels", {}) if key.startswith("helm.sh/")], path
            assert meta.get("labels", {}).get("app.kubernetes.io/managed-by") != "Helm", path
            assert not [key for key in meta.get("annotations", {}) if key.startswith("helm.sh/")], path
            assert "annotations" not in meta or meta["annotations"], path


def test_install_yaml_has_what_the_charts_have(helm: Any, checkout: Path):
    made = objects((checkout / "dist" / "install.yaml").read_text())
    rendered = [*helm.render(chart=ROOT / "charts" / "kaos-crds"), *helm.render("--skip-tests")]
    assert made[0]["metadata"]["name"] == "kaos-system"
    keys = [(one["kind"], one["metadata"]["name"]) for one in made[1:]]
    assert keys == [(one["kind"], one["metadata"]["name"]) for one in rendered]
    for one, same in zip(made[1:], rendered, strict=True):
        assert {**one, "metadata": None} == {**same, "metadata": None}


def test_monitoring_yaml_has_monitor_alerts_and_dashboard(checkout: Path):
    made = objects((checkout / "dist" / "monitoring.yaml").read_text())
    assert sorted(one["kind"] for one in made) == ["ConfigMap", "PrometheusRule", "ServiceMonitor"]


def test_one_kubectl_apply_installs_everything(checkout: Path, bare: ControlPlane):
    """S3.1: from nothing, also without server-side apply; a second time is no error."""
    for arguments in ([], ["--server-side", "--force-conflicts"]):
        done = bare.kubectl("apply", "-f", checkout / "dist" / "install.yaml", *arguments)
        assert done.returncode == 0, done.stderr
        assert "would violate" not in done.stderr
    there = bare.kubectl("get", "deployment,configmap", "-n", "kaos-system", "-o", "name")
    assert {"deployment.apps/kaos-operator", "configmap/kaos-mcp-runtimes"} <= set(there.stdout.split())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_real_api_server_takes_the_overlays(checkout: Path, bare: ControlPlane, overlay: str):
    done = bare.kubectl("apply", "--server-side", "-k", checkout / "deploy" / "kustomize" / overlay)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_changes_the_operator_and_keeps_it_restricted(
    rendered: Any, checkout: Path, control_plane: ControlPlane, overlay: str
):
    built = control_plane.kubectl("kustomize", checkout / "deploy" / "kustomize" / overlay)
    assert built.returncode == 0, built.stderr
    plain = rendered(objects((checkout / "dist" / "install.yaml").read_text()))
    got = rendered(objects(built.stdout))
    assert violations(got.pod["spec"], "restricted") == []
    assert got.container["resources"] != plain.container["resources"]
    assert got.container["securityContext"] == plain.container["securityContext"]
    added = {one["kind"] for one in got.objects} - {one["kind"] for one in plain.objects}
    if overlay == "production":
        assert added == {"PodDisruptionBudget"}
        (selector,) = [one["spec"]["selector"]["matchLabels"] for one in got.all("PodDisruptionBudget")]
        assert selector.items() <= got.pod["metadata"]["labels"].items()
        assert got.one("Deployment")["spec"]["replicas"] == 2
    else:
        assert added == set()
        assert got.env == {
            **plain.env,
            "KAOS_LOG_LEVEL": "DEBUG",
            "KAOS_LOG_FORMAT": "text",
            "KAOS_PROBE_INTERVAL": "10",
        }


def test_helm_takes_the_archives(helm: Any, checkout: Path):
    for archive in (checkout / "dist").glob("*.tgz"):
        done = helm("template", "kaos", archive, "-n", "kaos-system")
        assert done.returncode == 0, done.stderr
        assert "ci/" not in helm("show", "values", archive).stdout
