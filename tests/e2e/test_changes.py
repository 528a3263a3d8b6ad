"""What changes while a server runs: edits, restarts, replicas, the registry; and what the pod is made of."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from e2e import tools
from e2e.kubectl import Kubectl
from e2e.servers import overlay, saying, secret, server


def pods(kubectl: Kubectl, name: str) -> set[str]:
    """The uids of a server's pods that are not on their way out."""
    return {
        pod["metadata"]["uid"]
        for pod in kubectl.items("pods", f"mcpserver={name}")
        if "deletionTimestamp" not in pod["metadata"]
    }


def answer(kubectl: Kubectl, name: str, tool: str, **arguments: Any) -> Any:
    with tools.forwarded(kubectl, name) as url:
        return asyncio.run(tools.call(url, tool, arguments))


def test_an_edit_rolls_out_and_no_call_fails_meanwhile(kubectl: Kubectl):
    kubectl.apply(server("calm", params=saying("old"), replicas=2))
    kubectl.wait("mcp/calm", "condition=Ready")
    before = pods(kubectl, "calm")
    with tools.Calls(kubectl, "calm", "say") as calls:
        calls.wait_for("old")
        kubectl.apply(server("calm", params=saying("new"), replicas=2))
        kubectl("rollout", "status", "deployment/mcpserver-calm", "--timeout=180s")
        kubectl.wait("mcp/calm", "condition=Ready")
        calls.wait_for("new")
        kubectl.wait("deployment/mcpserver-calm", "jsonpath={.status.replicas}=2")
    assert calls.failures == []
    assert calls.answers == ["old", "new"]
    assert not before & pods(kubectl, "calm")


def test_a_restart_by_kubectl_rolls_the_pods_and_stays(kubectl: Kubectl):
    kubectl.apply(server("again", params=saying("here")))
    kubectl.wait("mcp/again", "condition=Ready")
    before = pods(kubectl, "again")
    kubectl("rollout", "restart", "deployment/mcpserver-again")
    kubectl("rollout", "status", "deployment/mcpserver-again", "--timeout=180s")
    kubectl.wait("mcp/again", "condition=Ready")
    assert not before & pods(kubectl, "again")
    annotations = kubectl.get("deployment/mcpserver-again")["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    assert answer(kubectl, "again", "say") == "here"


def test_kubectl_scale_decides_while_the_spec_names_no_replicas(kubectl: Kubectl):
    kubectl.apply(server("grow", params=saying("many")))
    kubectl.wait("mcp/grow", "condition=Ready")
    kubectl("scale", "deployment/mcpserver-grow", "--replicas=3")
    kubectl.wait("mcp/grow", "jsonpath={.status.readyReplicas}=3")
    # An edit of something else leaves the number alone.
    kubectl.apply(server("grow", params=saying("three")))
    kubectl("rollout", "status", "deployment/mcpserver-grow", "--timeout=180s")
    assert kubectl.get("deployment/mcpserver-grow")["spec"]["replicas"] == 3


def test_no_replicas_is_scaled_to_zero_and_comes_back(kubectl: Kubectl):
    kubectl.apply(server("nap", params=saying("awake"), replicas=0))
    kubectl.wait_reason("mcp/nap", "Ready", "ScaledToZero")
    assert pods(kubectl, "nap") == set()
    kubectl.apply(server("nap", params=saying("awake"), replicas=1))
    kubectl.wait("mcp/nap", "condition=Ready")
    assert answer(kubectl, "nap", "say") == "awake"


def test_a_variable_from_a_secret_reaches_the_tool_and_nothing_else(kubectl: Kubectl):
    reference = {"secretKeyRef": {"name": "keys", "key": "weather"}}
    code = "import os\ndef length() -> int:\n    return len(os.environ['WEATHER_API_KEY'])\n"
    spec = {"params": code, "container": {"env": [{"name": "WEATHER_API_KEY", "valueFrom": reference}]}}
    kubectl.apply(server("weather", **spec))
    kubectl.wait_reason("mcp/weather", "ResolvedRefs", "SecretNotFound")
    kubectl.apply(secret("keys", weather="sunny-7391"))
    kubectl.wait("mcp/weather", "condition=Ready")
    assert answer(kubectl, "weather", "length") == len("sunny-7391")
    told = kubectl("get", "mcp,deployments,pods,events,configmaps", "-o", "yaml")
    assert "sunny-7391" not in told
    assert base64.b64encode(b"sunny-7391").decode() not in told


def test_a_sidecar_of_the_podspec_runs_beside_the_server(kubectl: Kubectl, server_image: str):
    wait = "import signal; print('beside', flush=True); signal.sigwait({signal.SIGTERM})"
    sidecar = {"name": "sidecar", "image": server_image, "command": ["python", "-c", wait]}
    kubectl.apply(server("two", params=saying("both"), podSpec={"containers": [sidecar]}))
    kubectl.wait("mcp/two", "condition=Ready")
    (pod,) = kubectl.items("pods", "mcpserver=two")
    assert sorted(status["name"] for status in pod["status"]["containerStatuses"] if status["ready"]) == [
        "mcp-server",
        "sidecar",
    ]
    assert kubectl("logs", "-l", "mcpserver=two", "-c", "sidecar").strip() == "beside"
    assert answer(kubectl, "two", "say") == "both"


def test_code_too_large_for_a_variable_comes_by_a_configmap(kubectl: Kubectl):
    large = "".join(f"# {number:060}\n" for number in range(1500))
    kubectl.apply(server("large", params=large + saying("all of it")))
    kubectl.wait("mcp/large", "condition=Ready")
    assert kubectl.get("configmap/mcpserver-large-params")["data"]
    assert answer(kubectl, "large", "say") == "all of it"


def test_an_edit_of_the_registry_rolls_the_servers_of_that_runtime_alone(
    kubectl: Kubectl, system: Kubectl, server_image: str
):
    def runtimes(limit: int) -> dict[str, Any]:
        entry = f"team-python: {{type: python, image: '{server_image}', paramsEnvVar: MCP_TOOLS_STRING, "
        entry += f"command: [env, LIMIT={limit}, python, -m, kaos_runtime_rawpython.server]}}"
        return overlay("team", system.namespace, f"runtimes:\n  {entry}\n")

    code = "import os\ndef limit() -> int:\n    return int(os.environ['LIMIT'])\n"
    try:
        system.apply(runtimes(1))
        kubectl.apply(server("team", runtime="team-python", params=code), server("other", params=saying("same")))
        kubectl.wait("mcp/team", "condition=Ready")
        kubectl.wait("mcp/other", "condition=Ready")
        assert answer(kubectl, "team", "limit") == 1
        others = pods(kubectl, "other")
        deployed = kubectl.get("deployment/mcpserver-team")["metadata"]["generation"]
        system.apply(runtimes(2))
        kubectl.wait("deployment/mcpserver-team", f"jsonpath={{.metadata.generation}}={deployed + 1}")
        kubectl("rollout", "status", "deployment/mcpserver-team", "--timeout=180s")
        kubectl.wait("mcp/team", "condition=Ready")
        assert answer(kubectl, "team", "limit") == 2
        assert pods(kubectl, "other") == others
    finally:
        system("delete", "configmap", "team", "--ignore-not-found")


def test_what_somebody_changes_of_ours_is_put_back(kubectl: Kubectl):
    kubectl.apply(server("firm", params=saying("firm")))
    kubectl.wait("mcp/firm", "condition=Ready")
    kubectl("delete", "service", "mcpserver-firm", "--wait")
    kubectl.wait("service/mcpserver-firm", "create")
    kubectl.wait("mcp/firm", "condition=Ready")
    assert answer(kubectl, "firm", "say") == "firm"


def test_deleting_a_server_removes_what_was_made_of_it(kubectl: Kubectl):
    kubectl.apply(server("gone", params=saying("bye")))
    kubectl.wait("mcp/gone", "condition=Ready")
    kubectl("delete", "mcp", "gone", "--cascade=foreground", "--wait", "--timeout=120s")
    assert kubectl.items("deployments,services,configmaps", "mcpserver=gone") == []
