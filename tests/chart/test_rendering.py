"""Whatever values are given, the chart gives valid, restricted, repeatable objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kaos_core.manifests.pod_security import violations

ROOT = Path(__file__).parents[2]
CHARTS = [ROOT / "charts" / "kaos-crds", ROOT / "charts" / "kaos"]
CI = sorted((ROOT / "charts" / "kaos" / "ci").glob("*-values.yaml"))
ci = pytest.mark.parametrize("values", CI, ids=[path.stem for path in CI])
OTHERS = {"gateway.networking.k8s.io", "monitoring.coreos.com"}
"""Groups whose kinds kubernetes-validate does not know."""
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "CustomResourceDefinition",
    "Namespace",
}


@pytest.mark.parametrize("chart", CHARTS, ids=["kaos-crds", "kaos"])
def test_helm_lint_finds_nothing(helm: Any, chart: Path):
    done = helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout + done.stderr


@ci
def test_helm_lint_finds_nothing_with_other_values(helm: Any, values: Path):
    done = helm("lint", "--strict", CHARTS[1], "-n", "kaos-system", "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr


@ci
def test_every_object_is_valid(helm: Any, values: Path):
    objects = helm.render("-f", values)
    checked = [one for one in objects if one["apiVersion"].partition("/")[0] not in OTHERS]
    assert len(checked) >= 4
    for one in checked:
        kubernetes_validate.validate(one, "1.36", strict=True)


@ci
def test_no_object_comes_twice(helm: Any, values: Path):
    keys = [
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in helm.render("-f", values)
    ]
    assert len(keys) == len(set(keys))


@ci
def test_the_same_values_give_the_same_text(helm: Any, values: Path):
    assert helm.template("-f", values).stdout == helm.template("-f", values).stdout


@ci
def test_every_pod_meets_the_restricted_standard(helm: Any, values: Path):
    objects = helm.render("-f", values)
    pods = [one["spec"] for one in objects if one["kind"] == "Pod"]
    pods += [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"]
    assert len(pods) == 2
    for pod in pods:
        assert violations(pod, "restricted") == []
        assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])


@ci
def test_nothing_is_tagged_latest(helm: Any, values: Path):
    images = re.findall(r"image: \"?([^\s\"]+)", helm.template("-f", values).stdout, re.IGNORECASE)
    assert len(images) > 5
    for image in images:
        assert not image.endswith(":latest")
        assert re.search(r":[^/]+$|@sha256:", image), image


@ci
def test_every_namespaced_object_of_the_chart_says_its_namespace(helm: Any, values: Path):
    """So that `kubectl apply` of the text needs no -n; extraObjects are somebody else's."""
    for one in helm.render("-f", values):
        if one["kind"] not in CLUSTER_SCOPED and one["metadata"]["name"] != "team-runtimes":
            assert one["metadata"]["namespace"], one["kind"]


def test_a_release_for_some_namespaces_has_nothing_cluster_wide(helm: Any):
    objects = helm.render("-f", ROOT / "charts" / "kaos" / "ci" / "namespace-values.yaml")
    assert {one["kind"] for one in objects} & CLUSTER_SCOPED == set()
    assert {one["metadata"]["namespace"] for one in objects} == {"kaos-system", "team-a", "team-b"}


def test_probes_ask_the_operators_own_pages(helm: Any, rendered: Any):
    container = rendered(helm.render()).container
    (port,) = container["ports"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


def test_the_service_and_all_selectors_pick_the_operators_pods_only(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", ROOT / "charts" / "kaos" / "ci" / "everything-values.yaml"))
    labels = got.pod["metadata"]["labels"]
    check = got.one("Pod")["metadata"]["labels"]
    selectors = [
        got.one("Service")["spec"]["selector"],
        got.one("Deployment")["spec"]["selector"]["matchLabels"],
        got.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        got.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        got.one("ServiceMonitor")["spec"]["selector"]["matchLabels"],
    ]
    assert labels["team"] == "platform"
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= check.items()
    assert selectors[-1].items() <= got.one("Service")["metadata"]["labels"].items()


def test_the_pods_labels_stay_the_same_from_version_to_version(helm: Any, rendered: Any, tmp_path: Path):
    """An upgrade that changes nothing rolls nothing; selectors cannot change at all."""
    import shutil

    newer = tmp_path / "kaos"
    shutil.copytree(ROOT / "charts" / "kaos", newer)
    about = newer / "Chart.yaml"
    about.write_text(about.read_text().replace("version: 0.1.0", "version: 0.1.1", 1))
    before, after = rendered(helm.render()), rendered(helm.render(chart=newer))
    assert before.one("Service")["metadata"]["labels"] != after.one("Service")["metadata"]["labels"]
    assert before.one("Deployment")["spec"] == after.one("Deployment")["spec"]


def test_helm_test_runs_the_check_in_the_operators_own_image_and_environment(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", ROOT / "charts" / "kaos" / "ci" / "everything-values.yaml"))
    check = got.one("Pod")
    (container,) = check["spec"]["containers"]
    assert check["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert [*container["command"], *container["args"]] == ["python", "-m", "kaos_operator", "check"]
    for part in ("image", "env", "volumeMounts", "securityContext"):
        assert container[part] == got.container[part]
    assert check["spec"]["serviceAccountName"] == got.pod["spec"]["serviceAccountName"]


def test_crds_outlive_their_release(helm: Any):
    objects = helm.render(chart=CHARTS[0])
    assert sorted(one["spec"]["names"]["kind"] for one in objects) == ["Agent", "MCPServer", "ModelAPI"]
    for one in objects:
        assert one["kind"] == "CustomResourceDefinition"
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_both_charts_have_the_version_of_the_code():
    from kaos_core.settings import KAOS_VERSION, image

    for chart in CHARTS:
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert (about["version"], about["appVersion"]) == (KAOS_VERSION, KAOS_VERSION)
    (listed,) = yaml.safe_load(about["annotations"]["artifacthub.io/images"])
    assert listed["image"] == image("kaos-operator")


def test_a_gateway_of_the_chart_is_the_one_that_routes_attach_to(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", ROOT / "charts" / "kaos" / "ci" / "everything-values.yaml"))
    gateway = got.one("Gateway")
    assert got.env["KAOS_GATEWAY"] == f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
    assert gateway["metadata"]["name"] == "kaos-gateway"
    (listener,) = gateway["spec"]["listeners"]
    assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
    assert listener["hostname"] == got.env["KAOS_GATEWAY_HOSTS"]
    assert listener["tls"]["certificateRefs"] == [{"name": "mcp-certificate"}]
    assert listener["allowedRoutes"]["namespaces"] == {"from": "All"}


def test_a_gateway_of_a_release_for_some_namespaces_takes_routes_from_these(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", ROOT / "charts" / "kaos" / "ci" / "namespace-values.yaml"))
    (listener,) = got.one("Gateway")["spec"]["listeners"]
    (expression,) = listener["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert (expression["operator"], expression["values"]) == ("In", ["team-a", "team-b"])
    assert (listener["protocol"], listener["port"]) == ("HTTP", 80)


def test_a_mirror_takes_the_place_of_every_images_host(helm: Any):
    text = helm.template("-f", ROOT / "charts" / "kaos" / "ci" / "airgap-values.yaml").stdout
    images = re.findall(r"image: \"?([^\s\"]+)|_IMAGE\n\s+value: \"([^\"]+)", text)
    named = ["".join(pair) for pair in images]
    assert len(named) == 13
    assert all(image.startswith("registry.example:5000/mirror/") for image in named)
    assert "registry.example:5000/mirror/ollama/ollama:0.12.6" in named


def test_a_mirror_leaves_images_of_your_own_runtimes(helm: Any, rendered: Any):
    values = {
        "global": {"imageRegistry": "mirror.example"},
        "mcpRuntimes": {"custom": {"mine": {"type": "python", "image": "registry.example/mine:v1"}}},
    }
    text = rendered(helm.render(values=values)).one("ConfigMap")["data"]["runtimes.yaml"]
    images = {name: entry["image"] for name, entry in yaml.safe_load(text)["runtimes"].items()}
    assert images["mine"] == "registry.example/mine:v1"
    assert images["slack"] == "mirror.example/zencoderai/slack-mcp:0.0.1"


def test_a_large_number_stays_a_whole_one(helm: Any, rendered: Any):
    values = {"securityContext": {"runAsUser": 1000660000}, "tuning": {"maxRequests": 10_000_000}}
    got = rendered(helm.render(values=values))
    assert got.container["securityContext"]["runAsUser"] == 1000660000
    assert got.env["KAOS_MAX_REQUESTS"] == "10000000"
