"""A server from the quick start: Ready, called through its Service, found by its labels."""

from __future__ import annotations

import asyncio
from pathlib import Path

from e2e import tools
from e2e.kubectl import Kubectl
from e2e.servers import saying, server

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "examples" / "01-quickstart"


def test_the_quick_start_becomes_ready_and_its_tool_answers_through_the_service(kubectl: Kubectl):
    kubectl.apply(QUICKSTART)
    kubectl.wait("mcp/calculator", "condition=Ready")
    status = kubectl.get("mcp/calculator")["status"]
    assert status["phase"] == "Ready"
    assert status["endpoint"] == f"http://mcpserver-calculator.{kubectl.namespace}.svc.cluster.local:8000"
    assert sorted(status["availableTools"]) == ["add", "divide", "multiply", "subtract"]
    with tools.forwarded(kubectl, "calculator") as url:
        assert asyncio.run(tools.call(url, "add", {"a": 2, "b": 3})) == 5


def test_a_tool_answers_through_the_service_proxy_of_the_api_server(kubectl: Kubectl):
    kubectl.apply(QUICKSTART)
    kubectl.wait("mcp/calculator", "condition=Ready")
    with kubectl.proxy() as origin:
        url, headers = tools.proxied(origin, kubectl.namespace, "calculator")
        assert asyncio.run(tools.call(url, "multiply", {"a": 6, "b": 7}, headers)) == 42


def test_pods_and_their_logs_are_found_by_the_servers_label(kubectl: Kubectl):
    kubectl.apply(server("talks", params="import sys\nprint('loaded', file=sys.stderr)\n" + saying("hello")))
    kubectl.wait("mcp/talks", "condition=Ready")
    (pod,) = kubectl.items("pods", "mcpserver=talks,app.kubernetes.io/managed-by=kaos-operator")
    assert [container["name"] for container in pod["spec"]["containers"]] == ["mcp-server"]
    assert "loaded" in kubectl("logs", "-l", "mcpserver=talks", "--tail=-1").splitlines()
    for kind in ("deployment", "service"):
        (child,) = kubectl.items(kind, "mcpserver=talks")
        assert child["metadata"]["name"] == "mcpserver-talks"


def test_servers_beside_each_other_on_a_node_start_at_the_first_try(kubectl: Kubectl):
    """All pods have one uid, and what the kernel counts for a uid it counts over all containers of a node."""
    names = [f"beside-{number}" for number in range(6)]
    for name in names:
        kubectl.apply(server(name, params=saying(name)))
    for name in names:
        kubectl.wait(f"mcp/{name}", "condition=Ready")
    pods = kubectl.items("pods", "app.kubernetes.io/managed-by=kaos-operator")
    restarts = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}
    assert len(restarts) == len(names)
    assert set(restarts.values()) == {0}


def test_a_pod_runs_as_a_user_that_is_not_root_on_a_filesystem_that_it_cannot_write(kubectl: Kubectl):
    kubectl.apply(QUICKSTART)
    kubectl.wait("mcp/calculator", "condition=Ready")
    inside = "import os; print(os.getuid()); open('/tmp/x', 'w'); open('/opt/kaos/plugins/x', 'w')"
    done = kubectl.run("exec", "deployment/mcpserver-calculator", "--", "python", "-c", inside)
    assert done.stdout.strip() == "1000"
    assert "Read-only file system: '/opt/kaos/plugins/x'" in done.stderr
