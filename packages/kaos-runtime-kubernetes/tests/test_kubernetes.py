"""The runtime `kubernetes`: its entry, its warning, and its manifests as a whole."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

import kaos_runtime_kubernetes as plugin
from kaos_core.plan import Plan, plan
from kaos_core.registry import Registry
from kaos_core.testing import builtin_plugins, check_plugin, compare_golden, server

ACCOUNT = {"serviceAccountName": "mcpserver-k8s-tools"}


def planned(**spec) -> Plan:
    plugins = builtin_plugins()
    plugins.register(plugin, "kubernetes")
    return plan(server("kubernetes", **spec), Registry.build(plugins), plugins)


def test_the_plugin_keeps_the_contract():
    (made,) = check_plugin(plugin, specs={"kubernetes": ACCOUNT})
    assert made.problems == ()


def test_its_manifests_are_the_golden_ones(request: pytest.FixtureRequest):
    made = planned(**ACCOUNT)
    update = request.config.getoption("--update-goldens", default=False)
    compare_golden(made, Path(__file__).parent / "golden" / "kubernetes.yaml", update=update)
    for obj in made.objects:
        kubernetes_validate.validate(obj, "1.36", strict=True)


def test_it_listens_on_the_port_it_is_told():
    """C6: the image listens on 8080 unless told otherwise."""
    container = planned(**ACCOUNT).objects[-1]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["--port", "8000"]
    assert container["ports"][0]["containerPort"] == 8000


def test_without_a_service_account_it_warns_and_mounts_the_default_one():
    """C8"""
    made = planned()
    (problem,) = made.problems
    assert (problem.severity, problem.path) == ("warning", "spec.serviceAccountName")
    assert "kaos system create-rbac --name check" in problem.hint
    pod = made.objects[-1]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True
    assert "serviceAccountName" not in pod


def test_on_this_machine_it_listens_on_loopback_only():
    made = planned(**ACCOUNT)
    assert made.process.argv[-4:] == ("--bind-address", "127.0.0.1", "--port", "{port}")
    assert made.process.argv[2] == f"kubernetes-mcp-server@{plugin.VERSION}"
    assert made.process.requires == "npx"
