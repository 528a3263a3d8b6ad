"""helm itself on a real API server: install, upgrade and uninstall, and what is there afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kaos"
CRDS = ROOT / "charts" / "kaos-crds"
RELEASE = ("-n", "kaos-system")
SERVER = json.dumps(
    {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"runtime": "rawpython", "params": "def f(): pass"},
    }
)


@pytest.fixture
def bare(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """An API server without our CRDs."""
    from controlplane.server import ControlPlane

    with ControlPlane(control_plane.binaries, audit=False, crds=[control_plane.binaries.gateway_crds]) as made:
        yield made


@pytest.fixture
def helm_at(helm: Any, bare: ControlPlane) -> Any:
    """helm as a user of it runs it; what fails, fails the test."""

    def run(*arguments: str | Path, fails: bool = False) -> str:
        done = helm("--kubeconfig", bare.kubeconfig, *arguments)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return str(done.stdout + done.stderr)

    return run


def test_uninstalling_keeps_the_crds_and_every_resource(helm_at: Any, bare: ControlPlane):
    helm_at("install", "kaos-crds", CRDS, *RELEASE, "--create-namespace")
    notes = helm_at("install", "kaos", CHART, *RELEASE)
    assert "CRDs are not there" not in notes
    assert bare.kubectl("apply", "-f", "-", input=SERVER).returncode == 0
    before = uid(bare)
    helm_at("uninstall", "kaos", *RELEASE)
    assert bare.kubectl("get", "deployment", "kaos-operator", *RELEASE).returncode != 0
    assert "kept" in helm_at("uninstall", "kaos-crds", *RELEASE)
    assert uid(bare) == before
    # And the same releases come back to them.
    helm_at("install", "kaos-crds", CRDS, *RELEASE)
    helm_at("install", "kaos", CHART, *RELEASE)
    assert uid(bare) == before


def uid(plane: ControlPlane) -> str:
    done = plane.kubectl("get", "mcpservers.kaos.tools", "kept", "-n", "default", "-o", "jsonpath={.metadata.uid}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_upgrade_with_the_same_values_changes_nothing(helm_at: Any, bare: ControlPlane):
    helm_at("install", "kaos-crds", CRDS, *RELEASE, "--create-namespace")
    helm_at("install", "kaos", CHART, *RELEASE)
    before = versions(bare)
    helm_at("upgrade", "kaos", CHART, *RELEASE)
    assert versions(bare) == before


def versions(plane: ControlPlane) -> dict[str, str]:
    """The resourceVersion of everything of the release."""
    kinds = "deployments,services,configmaps,serviceaccounts,roles,rolebindings"
    found: dict[str, str] = {}
    wide = "clusterroles,clusterrolebindings,validatingadmissionpolicies"
    for arguments in ([kinds, *RELEASE], [wide]):
        done = plane.kubectl("get", *arguments, "-l", "app.kubernetes.io/instance=kaos", "-o", "json")
        assert done.returncode == 0, done.stderr
        for item in json.loads(done.stdout)["items"]:
            found[f"{item['kind']}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    assert len(found) > 8
    return found


def test_crds_that_kubectl_made_are_taken_over_when_asked(helm_at: Any, bare: ControlPlane):
    made = bare.kubectl("apply", "--server-side", "-f", CRDS / "templates")
    assert made.returncode == 0, made.stderr
    assert "ownership" in helm_at("install", "kaos-crds", CRDS, *RELEASE, "--create-namespace", fails=True)
    helm_at("install", "kaos-crds", CRDS, *RELEASE, "--create-namespace", "--take-ownership")


def test_an_edited_registry_is_not_overwritten_in_silence(helm_at: Any, bare: ControlPlane):
    """`kubectl edit configmap kaos-mcp-runtimes` (S4.42): helm 4 says what an upgrade would take away."""
    helm_at("install", "kaos-crds", CRDS, *RELEASE, "--create-namespace")
    helm_at("install", "kaos", CHART, *RELEASE)
    edit = json.dumps({"data": {"runtimes.yaml": "runtimes: {}\n"}})
    patched = bare.kubectl(
        "patch", "configmap", "kaos-mcp-runtimes", *RELEASE, "--type=merge", "-p", edit, "--field-manager=kubectl-edit"
    )
    assert patched.returncode == 0, patched.stderr
    said = helm_at("upgrade", "kaos", CHART, *RELEASE, "--set", "logLevel=DEBUG", fails=True)
    assert "kubectl-edit" in said
    assert "kaos-mcp-runtimes" in said
    helm_at("upgrade", "kaos", CHART, *RELEASE, "--set", "logLevel=DEBUG", "--force-conflicts")
    shown = bare.kubectl("get", "configmap", "kaos-mcp-runtimes", *RELEASE, "-o", "yaml")
    assert "rawpython" in shown.stdout
