"""What goes wrong in a pod is told by the server's status: the reason, and what was said last."""

from __future__ import annotations

from typing import Any

from e2e.kubectl import Kubectl
from e2e.servers import saying, server

UNREACHABLE = "127.0.0.1:9/none:1.0.0"
"""An image that no cluster can pull: nothing listens there on any node."""


def ready(kubectl: Kubectl, name: str) -> dict[str, Any]:
    conditions = kubectl.get(f"mcp/{name}")["status"]["conditions"]
    (condition,) = (one for one in conditions if one["type"] == "Ready")
    return dict(condition)


def test_an_image_that_cannot_be_pulled_is_imagepullfailed(kubectl: Kubectl):
    kubectl.apply(server("nowhere", runtime="custom", container={"image": UNREACHABLE}))
    kubectl.wait_reason("mcp/nowhere", "Ready", "ImagePullFailed")
    assert kubectl.get("mcp/nowhere")["status"]["phase"] == "Failed"
    assert UNREACHABLE in ready(kubectl, "nowhere")["message"]


def test_code_that_does_not_compile_is_invalidcode_with_its_line(kubectl: Kubectl):
    kubectl.apply(server("typo", params="def f() -> int:\n    return 1 +\n"))
    kubectl.wait_reason("mcp/typo", "Ready", "InvalidCode")
    assert "line 2" in ready(kubectl, "typo")["message"]


def test_a_program_that_crashes_is_crashloop_with_its_last_line(kubectl: Kubectl, server_image: str):
    command = ["python", "-c", "raise SystemExit('the database is not there')"]
    kubectl.apply(server("crash", runtime="custom", container={"image": server_image, "command": command}))
    kubectl.wait_reason("mcp/crash", "Ready", "CrashLoop")
    assert "the database is not there" in ready(kubectl, "crash")["message"]


def test_a_bad_edit_leaves_the_running_version_serving(kubectl: Kubectl):
    kubectl.apply(server("steady", params=saying("good")))
    kubectl.wait("mcp/steady", "condition=Ready")
    (before,) = kubectl.items("pods", "mcpserver=steady")
    kubectl.apply(server("steady", params="import nothing_of_that_name\ndef f(): ...\n"))
    kubectl.wait_reason("mcp/steady", "Ready", "ImportError")
    (served,) = (
        target["targetRef"]["uid"]
        for part in kubectl.items("endpointslices", "kubernetes.io/service-name=mcpserver-steady")
        for target in part["endpoints"] or []
        if target["conditions"]["ready"]
    )
    assert served == before["metadata"]["uid"]


def test_a_pod_that_is_less_than_restricted_is_refused_before_it_is_made(kubectl: Kubectl):
    spec = {"containers": [{"name": "mcp-server", "securityContext": {"privileged": True}}]}
    done = kubectl.run("apply", "-f", "-", stdin=_json(server("root", params=saying("x"), podSpec=spec)))
    if done.returncode:
        # The admission policy of the chart refuses it at once.
        assert "restricted" in done.stderr or "privileged" in done.stderr
    else:
        kubectl.wait_reason("mcp/root", "Accepted", "PodSecurityViolation")
    assert kubectl.items("deployments") == []


def _json(document: dict[str, Any]) -> str:
    import json

    return json.dumps(document)
