"""What the chart gives the operator is what the operator's own code says: rights, policy, images, metrics."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.values import ELSEWHERE, IMAGES_OF_RUNTIMES
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_core.settings import Settings
from kaos_operator import admission, rbac
from kaos_operator.environment import Environment
from kaos_operator.metrics import Metrics
from kaos_operator.overlays import Overlays

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kaos"
PLURALS = ("agents", "mcpservers", "modelapis")
SYSTEM = "kaos-system"
ROLES = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
FOR_PEOPLE = {"kaos-view", "kaos-edit", "kaos-admin"}


def key(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def by_key(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Objects without the labels that every object of a release has."""
    found = {}
    for one in objects:
        labels = {
            name: value
            for name, value in one["metadata"].get("labels", {}).items()
            if not name.startswith(("app.kubernetes.io/", "helm.sh/"))
        }
        found[key(one)] = {**one, "metadata": {"name": one["metadata"]["name"], "labels": labels}}
    return found


# Rights.


@pytest.mark.parametrize("account", ["kaos-operator", "somebody"])
@pytest.mark.parametrize("namespaces", [(), ("team-a", "team-b")], ids=["cluster", "namespace"])
def test_the_charts_rights_are_the_operators(helm: Any, account: str, namespaces: tuple[str, ...]):
    scope = "namespace" if namespaces else "cluster"
    values = {"rbac": {"scope": scope, "namespaces": list(namespaces)}, "serviceAccount": {"name": account}}
    made = [one for one in helm.render(values=values) if one["kind"] in ROLES]
    made = [one for one in made if one["metadata"]["name"] not in FOR_PEOPLE]
    assert by_key(made) == by_key(rbac.manifests(PLURALS, SYSTEM, namespaces, account=account))


def test_the_roles_for_people_are_the_operators(helm: Any):
    made = [one for one in helm.render() if one["metadata"]["name"] in FOR_PEOPLE]
    assert by_key(made) == by_key(rbac.user_roles(PLURALS))
    without = helm.render("--set", "userRoles.enabled=false")
    assert not FOR_PEOPLE & {one["metadata"]["name"] for one in without}


def test_the_admission_policy_is_the_operators(helm: Any):
    made = [one for one in helm.render() if one["kind"].startswith("ValidatingAdmissionPolicy")]
    assert by_key(made) == by_key(admission.manifests(PLURALS))
    without = helm.render("--set", "admissionPolicy.enabled=false")
    assert not [one for one in without if one["kind"].startswith("ValidatingAdmissionPolicy")]


# Environment.


def test_every_variable_of_the_operator_can_be_set_once():
    """A new one in `Environment` is under `tuning` by itself; only what has a value of its own is listed."""
    known = {setting.metadata["variable"] for setting in fields(Environment)}
    assert known >= ELSEWHERE


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem)
def test_the_operator_reads_every_variable_that_the_chart_sets(helm: Any, rendered: Any, values: Path):
    known = {setting.metadata["variable"] for setting in fields(Environment)}
    env = rendered(helm.render("-f", values)).env
    ours = {name for name in env if name.startswith("KAOS_")}
    assert ours <= known | {"KAOS_DISABLED_PLUGINS", "KAOS_STRICT_PLUGINS"}
    Environment.read(env)


def test_without_values_the_operator_has_its_own_defaults(helm: Any, rendered: Any):
    read = Environment.read(rendered(helm.render()).env)
    assert read == Environment(namespace=SYSTEM, identity="kaos-operator-0")


def test_values_reach_the_operator(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", CHART / "ci" / "everything-values.yaml"))
    read = Environment.read(got.env)
    assert (read.log_level, read.log_format, read.workload_log_level) == ("DEBUG", "text", "DEBUG")
    assert (read.gateway, read.gateway_hosts) == ("kaos-system/kaos-gateway", ("mcp.example.com",))
    assert (read.mcpserver_timeout, read.agent_timeout, read.modelapi_timeout) == ("45s", "5m", "120s")
    assert read.otlp_endpoint == "http://collector.observability:4318"
    assert read.image_pull_secrets == ("team", "mirror")
    assert (read.workers, read.resync, read.requests) == (4, 3600.0, 1_000_000)
    assert (got.env["KAOS_DISABLED_PLUGINS"], got.env["KAOS_STRICT_PLUGINS"]) == ("discord", "1")
    assert got.env["HTTPS_PROXY"] == "http://proxy.example:3128"
    names = [one["name"] for one in got.container["env"]]
    assert len(names) == len(set(names))


def test_a_release_for_some_namespaces_says_which_and_what_they_allow(helm: Any, rendered: Any):
    read = Environment.read(rendered(helm.render("-f", CHART / "ci" / "namespace-values.yaml")).env)
    assert (read.watch_namespaces, read.pod_security) == (("team-a", "team-b"), "baseline")


def test_the_operator_listens_where_probes_and_service_look(helm: Any, rendered: Any):
    got = rendered(helm.render())
    (port,) = got.container["ports"]
    assert Environment.read(got.env).http_port == port["containerPort"]


# Images and runtimes.


def test_default_images_are_the_plugins():
    images = yaml.safe_load((CHART / "values.yaml").read_text())["defaultImages"]
    found = Registry.build(Plugins.installed()).by_name
    of_runtimes = {value: found[name].runtime.image for name, value in IMAGES_OF_RUNTIMES.items()}
    others = {
        "agentRuntime": Settings.agent_image,
        "litellm": Settings.litellm_image,
        "ollama": Settings.ollama_image,
    }
    assert images == {**of_runtimes, **others}


def overlays_of(config_map: dict[str, Any]) -> Overlays:
    overlays = Overlays(Plugins.installed())
    meta = {**config_map["metadata"], "uid": "u", "resourceVersion": "1"}
    overlays.see({**config_map, "metadata": meta})
    return overlays


def test_the_seeds_five_runtimes_stand_in_the_configmap_each_with_its_image(helm: Any, rendered: Any):
    config_map = rendered(helm.render()).one("ConfigMap", "kaos-mcp-runtimes")
    entries = yaml.safe_load(config_map["data"]["runtimes.yaml"])["runtimes"]
    assert entries.keys() == IMAGES_OF_RUNTIMES.keys()
    assert all(entry.keys() == {"image"} for entry in entries.values())
    overlays = overlays_of(config_map)
    assert overlays.problems() == []
    plain = Registry.build(Plugins.installed()).by_name
    assert {name: entry.runtime for name, entry in overlays.registry.by_name.items()} == {
        name: entry.runtime for name, entry in plain.items()
    }


def test_runtimes_of_the_values_are_in_the_registry(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", CHART / "ci" / "everything-values.yaml"))
    overlays = overlays_of(got.one("ConfigMap", "kaos-mcp-runtimes"))
    assert overlays.problems() == []
    weather = overlays.registry.get("my-weather-api").runtime
    assert (weather.image, weather.required_env) == ("registry.example/weather-mcp:v1.0.0", ("WEATHER_API_KEY",))
    assert overlays.registry.get("team-python").runtime.run_as_user == 65532
    slack = overlays.registry.get("slack").runtime
    assert slack.description == "Slack, from our mirror"
    assert slack.required_env == ("SLACK_BOT_TOKEN", "SLACK_TEAM_ID")


def test_every_field_of_a_runtime_may_stand_in_the_values(helm: Any, rendered: Any):
    entry = {
        "type": "go",
        "image": "registry.example/all:v1",
        "description": "all",
        "command": ["/all"],
        "args": ["--port", "{port}"],
        "paramsEnvVar": "PARAMS",
        "paramsFile": True,
        "requiredEnv": ["KEY"],
        "transport": "http",
        "source": "team/all",
        "port": 9000,
        "path": "/all",
        "health": "/healthz",
        "ready": "/readyz",
        "runAsUser": 65532,
        "readOnlyRootFilesystem": True,
        "disabled": False,
        "paramsSchema": {"type": "object", "additionalProperties": False},
        "local": {"command": ["all"], "env": {"A": "b"}, "requires": "all"},
        "aliases": ["everything"],
        "docsUrl": "https://example.com/all",
        "tokenEnv": "TOKEN",
        "serviceAccountToken": True,
        "bindsAll": True,
        "remote": False,
    }
    got = rendered(helm.render(values={"mcpRuntimes": {"custom": {"all": entry}}}))
    overlays = overlays_of(got.one("ConfigMap", "kaos-mcp-runtimes"))
    assert overlays.problems() == []
    assert overlays.registry.get("everything").runtime.port == 9000
    schema = json.loads((CHART / "values.schema.json").read_text())
    allowed = schema["properties"]["mcpRuntimes"]["properties"]["custom"]["additionalProperties"]["properties"]
    assert allowed.keys() == entry.keys()


# Metrics.


def exposed() -> set[str]:
    text = Metrics([{"kind": "MCPServer"}], {"GET": 1}).text().decode()
    return {name for name, _ in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)}


def asked(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:kaos|mcpserver)_[a-z_]+)(?=\{)", expression))


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", CHART / "ci" / "everything-values.yaml"))
    dashboard = json.loads(got.one("ConfigMap", "kaos-dashboard")["data"]["kaos.json"])
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    (group,) = got.one("PrometheusRule")["spec"]["groups"]
    expressions += [rule["expr"] for rule in group["rules"]]
    wanted = {re.sub(r"_bucket$", "", name) for expression in expressions for name in asked(expression)}
    assert len(expressions) > 15
    assert wanted <= exposed()
    assert {
        "mcpserver_ready_total",
        "mcpserver_phase",
        "mcpserver_validation_compliant",
        "mcpserver_replicas",
    } <= wanted


def test_alerts_ask_about_the_operator_of_this_release(helm: Any, rendered: Any):
    got = rendered(helm.render("-f", CHART / "ci" / "everything-values.yaml"))
    (group,) = got.one("PrometheusRule")["spec"]["groups"]
    for rule in group["rules"]:
        selectors = re.findall(r"\{(.*?)\}", rule["expr"])
        assert selectors
        for selector in selectors:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', selector))
            # The Prometheus operator calls a job after the Service.
            assert (labels["namespace"], labels["job"]) == (SYSTEM, got.one("Service")["metadata"]["name"])
        assert rule["annotations"]["summary"]


def test_the_dashboards_panels_do_not_overlap():
    dashboard = json.loads((CHART / "dashboards" / "kaos.json").read_text())
    cells = [
        (column, row)
        for panel in dashboard["panels"]
        for position in [panel["gridPos"]]
        for column in range(position["x"], position["x"] + position["w"])
        for row in range(position["y"], position["y"] + position["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) == 23
