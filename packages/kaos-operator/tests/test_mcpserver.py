"""An MCPServer becomes what its plan says, stays that, and is told truthfully; with real programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
BIG = "def add(a: int, b: int) -> int:\n    return a + b\n" + "# " + "x" * 66_000 + "\n"


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_GATEWAY": "gateways/public", "KAOS_GATEWAY_HOSTS": "kaos.example"}


def children(world, name):
    kinds = ("Deployment", "Service", "HTTPRoute", "ConfigMap")
    return [kind for kind in kinds if world.get(kind, f"mcpserver-{name}")]


def served_by(module_node, name, *arguments):
    """An image of the user's own, and the program that the node runs for it."""
    image = f"example.test/{name}:1"
    module_node.serve(image, [sys.executable, str(PROGRAMS / "server.py"), "{port}", *arguments])
    return {"runtime": "custom", "container": {"image": image}}


def test_a_server_becomes_ready_with_its_tools(served):
    served.create(served.server("calc"))

    status = served.until_ready("calc")["status"]

    assert (status["phase"], status["availableTools"]) == ("Ready", ["add"])
    assert status["endpoint"] == f"http://mcpserver-calc.{served.namespace}.svc.cluster.local:8000"
    assert status["validation"] == {
        "state": "Compliant",
        "compliant": True,
        "protocolVersion": "2026-07-28",
        "transportUsed": "streamable-http",
        "requiresAuth": False,
        "capabilities": ["tools", "resources", "prompts"],
    }
    assert children(served, "calc") == ["Deployment", "Service", "HTTPRoute"]


def test_the_route_strips_its_prefix_and_has_the_default_timeout(served):
    served.create(served.server("routed"))
    served.until_programmed("routed")
    route = served.get("HTTPRoute", "mcpserver-routed")["spec"]
    assert route["hostnames"] == ["kaos.example"]
    (rule,) = route["rules"]
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": f"/{served.namespace}/mcp/routed"}
    assert rule["filters"][0]["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    assert rule["timeouts"] == {"request": "30s"}

    served.edit("MCPServer", "routed", gatewayRoute={"timeout": "0s"})
    served.until_programmed("routed")
    assert "timeouts" not in served.get("HTTPRoute", "mcpserver-routed")["spec"]["rules"][0]


def test_a_server_of_the_session_era_over_sse_on_port_3001_is_ready(served, module_node):
    """S3's own example."""
    spec = served_by(module_node, "sse", "sse", "/sse")
    transport = {"protocol": "sse", "port": 3001, "path": "/sse", "sessionManagement": True}
    served.create(served.server("wikipedia", params=None, **spec, transport=transport))

    status = served.until_ready("wikipedia")["status"]

    assert status["validation"]["transportUsed"] == "sse"
    assert status["serviceEndpoint"].endswith(":8000/sse")
    service = served.get("Service", "mcpserver-wikipedia")["spec"]
    assert service["sessionAffinity"] == "ClientIP"
    pods = served.get("Deployment", "mcpserver-wikipedia")["spec"]["template"]["spec"]
    assert pods["containers"][0]["ports"][0]["containerPort"] == 3001
    shown = served.plane.kubectl("get", "mcp", "wikipedia", "-n", served.namespace, "-o", "wide").stdout.splitlines()
    columns = dict(zip(shown[0].split(), shown[1].split(), strict=True))
    assert {name: columns[name] for name in ("PROTOCOL", "AUTH", "COMPLIANT", "CAPABILITIES", "REPLICAS")} == {
        "PROTOCOL": "sse",
        "AUTH": "false",
        "COMPLIANT": "true",
        "CAPABILITIES": '["tools","resources","prompts"]',
        "REPLICAS": "1",
    }


def test_a_server_that_asks_for_credentials_is_ready_and_says_so(served, module_node):
    spec = served_by(module_node, "locked", "locked")
    served.create(served.server("locked", params=None, **spec))

    status = served.until_ready("locked")["status"]

    assert status["validation"]["requiresAuth"] is True
    tools = served.condition("MCPServer", "locked", "ToolsDiscovered")
    assert (tools["status"], tools["reason"]) == ("Unknown", "AuthRequired")


def test_large_params_go_into_a_config_map_that_goes_again_with_them(served):
    served.create(served.server("big", params=BIG))
    served.until_ready("big")
    assert served.get("ConfigMap", "mcpserver-big-params")["data"] == {"params": BIG}

    served.edit("MCPServer", "big", params=served.ADD)
    served.until_programmed("big")
    served.until(lambda: served.get("ConfigMap", "mcpserver-big-params") is None)


def test_params_from_a_secret_are_never_read_by_the_operator(served):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "code"},
        "stringData": {"tools.py": served.ADD},
    }
    served.create(secret)
    mark = served.plane.mark()
    reference = {"secretKeyRef": {"name": "code", "key": "tools.py"}}
    served.create(served.server("by-params", paramsFrom=reference))
    env = [{"name": "MCP_TOOLS_STRING", "valueFrom": reference}]
    served.create(served.server("by-env", params=None, container={"env": env}))

    assert served.until_ready("by-params")["status"]["availableTools"] == ["add"]
    assert served.until_ready("by-env")["status"]["availableTools"] == ["add"]
    asked = served.plane.requests(mark, agent="kaos-operator", namespace=served.namespace)
    assert [request for request in asked if request.resource == "secrets"] == []


def test_what_is_missing_is_named_and_once_it_is_there_the_server_is_ready(served):
    reference = {"secretKeyRef": {"name": "later", "key": "tools.py"}}
    served.create(served.server("waits", paramsFrom=reference))
    served.until_condition("MCPServer", "waits", "ResolvedRefs", "False", "SecretNotFound")
    assert "later" in served.condition("MCPServer", "waits", "Ready")["message"]

    data = {"tools.py": served.ADD}
    served.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "stringData": data})
    served.until_ready("waits")


def test_a_missing_service_account_is_named(served):
    served.create(served.server("accountless", serviceAccountName="nobody-home"))
    served.until_condition("MCPServer", "accountless", "ResolvedRefs", "False", "ServiceAccountNotFound")
    assert "nobody-home" in served.condition("MCPServer", "accountless", "Ready")["message"]


def test_code_that_does_not_compile_is_told_with_its_line_and_the_last_good_goes_on(served):
    served.create(served.server("edited"))
    served.until_ready("edited")
    before = served.get("Deployment", "mcpserver-edited")["spec"]["template"]

    served.edit("MCPServer", "edited", params="def add(a, b)\n    return a\n")
    told = served.until_condition("MCPServer", "edited", "Ready", "False", "InvalidCode")
    assert "line 1" in told["message"]
    # The pods of the edit before serve until others can.
    assert served.get("Deployment", "mcpserver-edited")["status"]["availableReplicas"] == 1
    assert served.get("MCPServer", "edited")["status"]["phase"] == "Failed"

    served.edit("MCPServer", "edited", params=served.ADD)
    served.until_ready("edited")
    assert served.get("Deployment", "mcpserver-edited")["spec"]["template"] == before


def test_a_program_that_cannot_import_is_told_by_its_own_word(served):
    served.create(served.server("importing", params="import not_there\n\ndef f() -> int:\n    return 1\n"))
    told = served.until_condition("MCPServer", "importing", "Ready", "False", "ImportError")
    assert "not_there" in told["message"]


def test_the_restart_annotation_rolls_the_pods(served):
    served.create(served.server("restarted"))
    served.until_ready("restarted")
    stamp = {"metadata": {"annotations": {"kaos.tools/restartedAt": "2026-01-01T00:00:00Z"}}}
    served.merge("MCPServer", "restarted", stamp)

    def rolled():
        template = served.get("Deployment", "mcpserver-restarted")["spec"]["template"]
        return "kaos.tools/restartedAt" in template["metadata"]["annotations"]

    served.until(rolled)
    served.until_ready("restarted")


def test_no_replicas_is_scaled_to_zero_and_nobody_is_asked(served):
    served.create(served.server("zero", replicas=0))
    told = served.until_condition("MCPServer", "zero", "Ready", "False", "ScaledToZero")
    assert told["message"] == "replicas is 0"
    assert served.get("MCPServer", "zero")["status"]["phase"] == "Pending"


def test_deleting_takes_the_children_along(served):
    served.create(served.server("short-lived"))
    served.until_ready("short-lived")
    served.delete("MCPServer", "short-lived")
    served.until(lambda: children(served, "short-lived") == [])


def test_a_generated_token_is_made_once_and_stays(served):
    env = [{"name": name, "value": "T0"} for name in ("SLACK_BOT_TOKEN", "SLACK_TEAM_ID")]
    served.create(served.server("chat", params=None, runtime="slack", container={"env": env}))
    served.until_programmed("chat")
    token = served.get("Secret", "mcpserver-chat-token")["data"]
    pod = served.get("Deployment", "mcpserver-chat")["spec"]["template"]["spec"]
    held = next(entry for entry in pod["containers"][0]["env"] if entry["name"] == "AUTH_TOKEN")
    assert held["valueFrom"]["secretKeyRef"] == {"name": "mcpserver-chat-token", "key": "token"}

    served.merge("MCPServer", "chat", {"spec": {"replicas": 1}})
    served.until_programmed("chat")
    assert served.get("Secret", "mcpserver-chat-token")["data"] == token


def test_telemetry_without_an_endpoint_is_a_warning_event(served):
    served.create(served.server("traced", telemetry={"enabled": True}))
    served.until_programmed("traced")

    def warned():
        events = [event for event in served.list("Event") if event["involvedObject"]["name"] == "traced"]
        return [event for event in events if event["reason"] == "TelemetryEndpointMissing"]

    (event,) = served.until(warned)
    assert event["type"] == "Warning", json.dumps(event)


def test_without_a_gateway_the_routes_of_a_time_when_there_was_one_go(served):
    served.create(served.server("unrouted"))
    served.until_programmed("unrouted")
    assert served.get("HTTPRoute", "mcpserver-unrouted")

    assert served.operator.stop() == 0
    served.operator.start(KAOS_GATEWAY="")
    served.until(lambda: served.get("HTTPRoute", "mcpserver-unrouted") is None)
    assert served.get("Service", "mcpserver-unrouted")

    assert served.operator.stop() == 0
    served.operator.start(KAOS_GATEWAY="gateways/public")
    served.until(lambda: served.get("HTTPRoute", "mcpserver-unrouted"))
