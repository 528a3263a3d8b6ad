"""The control plane of the tests behaves as a real cluster's: rights, admission, certificates, lost versions."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


def eventually(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"never: {look}"
        time.sleep(0.02)
    return seen


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}}


def test_kubectl_knows_our_kinds_and_the_gateway_api(control_plane: ControlPlane):
    explained = control_plane.kubectl("explain", "mcpserver.spec.runtime")
    assert explained.returncode == 0, explained.stderr
    routes = control_plane.kubectl("get", "httproutes", "-A")
    assert "No resources found" in routes.stderr


def test_whoever_does_not_know_the_authority_does_not_connect(control_plane: ControlPlane):
    port = int(control_plane.url.rpartition(":")[2])
    stranger = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/readyz")
    stranger.close()
    assert "insecure" not in control_plane.kubeconfig.read_text()


def test_a_user_may_what_a_role_allows_and_no_more(control_plane: ControlPlane, namespace: str):
    alice = control_plane.kubeconfig_for("alice")
    refused = control_plane.kubectl("get", "mcp", "-n", namespace, kubeconfig=alice)
    assert 'User "alice" cannot list resource "mcpservers"' in refused.stderr
    for arguments in (
        ("create", "role", "reader", "--verb=list", "--resource=mcpservers.kaos.tools"),
        ("create", "rolebinding", "reader", "--role=reader", "--user=alice"),
    ):
        assert control_plane.kubectl(*arguments, "-n", namespace).returncode == 0
    allowed = control_plane.kubectl("get", "mcp", "-n", namespace, kubeconfig=alice)
    assert allowed.returncode == 0, allowed.stderr


def test_a_service_account_logs_in_with_a_token_of_the_api_server(control_plane: ControlPlane, namespace: str):
    kubeconfig = control_plane.kubeconfig_for("default", namespace)
    known = control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig)
    assert json.loads(known.stdout)["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"


def test_a_pod_of_a_missing_service_account_is_refused_as_in_a_cluster(control_plane: ControlPlane, namespace: str):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "x-"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}]},
    }
    status, answer = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    sentence = f'error looking up service account {namespace}/robot: serviceaccount "robot" not found'
    assert (status, answer["message"]) == (403, f'pods "x-" is forbidden: {sentence}')


def test_writes_are_counted_by_verb_and_resource(control_plane: ControlPlane, namespace: str):
    before, mark = control_plane.writes(), control_plane.mark()
    path = CONFIG_MAPS.format(namespace)
    assert control_plane.request("POST", path, config_map("a"))[0] == 201
    assert control_plane.request("POST", path, config_map("a"))[0] == 409
    assert control_plane.request("POST", f"{path}?dryRun=All", config_map("b"))[0] == 201
    assert control_plane.request("GET", path)[0] == 200
    assert control_plane.writes() - before == {("POST", "configmaps", ""): 2}
    found = eventually(
        lambda: (
            (seen := control_plane.requests(mark, agent="kaos-controlplane", namespace=namespace))
            and len(seen) == 4
            and seen
        )
    )
    assert [(one.verb, one.name, one.code, one.is_write) for one in found] == [
        ("create", "a", 201, True),
        ("create", "a", 409, True),
        ("create", "b", 201, True),
        ("list", "", 200, False),
    ]


@pytest.fixture
def restarted(control_plane: ControlPlane, namespace: str) -> Iterator[str]:
    """The version of the world before an API server was restarted on a compacted etcd."""
    _, listed = control_plane.request("GET", CONFIG_MAPS.format(namespace))
    control_plane.stop_api_server()
    with pytest.raises(OSError, match="refused"):
        control_plane.request("GET", "/readyz")
    control_plane.start_api_server(compact=True)
    return listed["metadata"]["resourceVersion"]


def test_after_a_restart_with_compaction_old_versions_are_gone(
    control_plane: ControlPlane, namespace: str, restarted: str
):
    path = f"{CONFIG_MAPS.format(namespace)}?watch=1&timeoutSeconds=5&resourceVersion={restarted}"
    status, answer = control_plane.request("GET", path)
    gone = answer if status != 200 else answer["object"]
    assert gone["code"] == 410, answer
    kubeconfig = control_plane.kubeconfig_for("default", namespace)
    assert control_plane.kubectl("auth", "whoami", kubeconfig=kubeconfig).returncode == 0


def test_a_user_can_be_added_while_it_runs(control_plane: ControlPlane):
    control_plane.add_user("carol", ["readers"])
    known = control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=control_plane.kubeconfig_for("carol"))
    assert json.loads(known.stdout)["status"]["userInfo"]["groups"] == ["readers", "system:authenticated"]
