"""The fake node runs real processes, and says of them what kubelet and the controllers would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from controlplane.node import FakeNode
    from controlplane.server import ControlPlane

CODE = "def add(a: int, b: int) -> int:\n    return a + b\n"
RAW = {"runtime": "rawpython", "params": CODE}
Eventually = Callable[..., Any]


def ask(url: str, tool: str, **arguments: Any) -> Any:
    from fastmcp import Client

    async def asking() -> Any:
        async with Client(url) as client:
            return (await client.call_tool(tool, arguments)).data

    return asyncio.run(asking())


def test_a_server_runs_and_answers_behind_its_service(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    url = node.url(apply.namespace, "mcpserver-calc", "/mcp")
    assert ask(url, "add", a=2, b=3) == 5
    assert node.probe_url.endswith("/{namespace}/{service}{path}")
    (pod,) = apply.list("Pod")
    (replicas,) = apply.list("ReplicaSet")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replicas["metadata"]["uid"]
    assert pod["status"]["phase"] == "Running"
    assert apply.condition("calc", "Available")[:2] == ("True", "MinimumReplicasAvailable")
    assert apply.condition("calc", "Progressing")[:2] == ("True", "NewReplicaSetAvailable")


def test_the_new_version_serves_before_the_old_one_ends(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    (old,) = node.pids(apply.namespace, "mcpserver-calc")
    apply("calc", {**RAW, "params": "def twice(a: int) -> int:\n    return 2 * a\n"})
    seen = []

    def over() -> bool:
        status = apply.status("calc")
        seen.append((status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("availableReplicas", 0)))
        return apply.available("calc") and node.pids(apply.namespace, "mcpserver-calc") != [old]

    eventually(over)
    assert min(available for _, _, available in seen) >= 1
    assert max(replicas for replicas, _, _ in seen) == 2
    assert ask(node.url(apply.namespace, "mcpserver-calc", "/mcp"), "twice", a=4) == 8
    eventually(lambda: not psutil.pid_exists(old))


def test_a_program_that_ends_is_restarted_and_its_log_is_told(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", {**RAW, "params": "def add(:"})
    message = eventually(lambda: apply.waits("CrashLoopBackOff"))
    assert "restarting failed container=mcp-server pod=mcpserver-calc-" in message
    container = apply.container()
    terminated = container["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (78, "Error")
    assert terminated["message"].strip().splitlines()[-1].startswith("InvalidCode: ")
    assert container["restartCount"] >= 1
    assert apply.condition("calc", "Available")[:2] == ("False", "MinimumReplicasUnavailable")


def test_a_killed_program_counts_as_restarted_and_serves_again(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    (pid,) = node.pids(apply.namespace, "mcpserver-calc")
    os.kill(pid, signal.SIGKILL)
    container = eventually(lambda: (one := apply.container()).get("restartCount") == 1 and one.get("ready") and one)
    assert container["lastState"]["terminated"]["exitCode"] == 137
    eventually(lambda: apply.available("calc"))


def test_an_image_of_the_users_cannot_be_pulled_until_the_test_says_what_it_is(
    node: FakeNode, apply: Any, eventually: Eventually
):
    image = "registry.example/tools:1"
    apply("own", {"runtime": "custom", "container": {"image": image, "args": ["--port", "{port}"]}})
    assert eventually(lambda: apply.waits("ErrImagePull")).endswith(f"{image}: not found")
    assert eventually(lambda: apply.waits("ImagePullBackOff")).startswith(
        f'Back-off pulling image "{image}": ErrImagePull'
    )
    # Its arguments are the resource's own.
    node.serve(image, ["{python}", "-m", "kaos_runtime_rawpython.server", "--host", "127.0.0.1"])
    eventually(lambda: apply.waits("CrashLoopBackOff"))
    assert "no code" in node.log(apply.namespace, "mcpserver-own") or "MCP_TOOLS_STRING" in node.log(
        apply.namespace, "mcpserver-own"
    )


def test_an_image_set_by_podspec_is_the_users_too(node: FakeNode, apply: Any, eventually: Eventually):
    patch = {"containers": [{"name": "mcp-server", "image": "registry.example/other:1"}]}
    apply("calc", {**RAW, "podSpec": patch})
    assert "registry.example/other:1" in eventually(lambda: apply.waits("ImagePullBackOff"))


SSE = """
import sys
from fastmcp import FastMCP

server = FastMCP("old")

@server.tool
def shout(text: str) -> str:
    return text.upper()

server.run(transport="sse", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
"""


def test_an_sse_server_is_reached_too(node: FakeNode, apply: Any, eventually: Eventually):
    node.serve("registry.example/sse:1", [sys.executable, "-c", textwrap.dedent(SSE), "{port}"])
    transport = {"port": 3001, "path": "/sse"}
    apply("old", {"runtime": "custom", "container": {"image": "registry.example/sse:1"}, "transport": transport})
    eventually(lambda: apply.available("old"))
    assert ask(node.url(apply.namespace, "mcpserver-old", "/sse"), "shout", text="hello") == "HELLO"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"secretKeyRef": {"name": "code", "key": "tools"}}, 'secret "code" not found'),
        ({"configMapKeyRef": {"name": "code", "key": "tools"}}, 'configmap "code" not found'),
        (
            {"secretKeyRef": {"name": "half", "key": "tools"}},
            "couldn't find key tools in Secret {namespace}/half",
        ),
    ],
    ids=["secret", "configmap", "key"],
)
def test_a_missing_reference_is_told_as_kubelet_tells_it(
    node: FakeNode, apply: Any, eventually: Eventually, source: dict, message: str
):
    apply.plane.request("POST", apply.path("Secret"), secret("half", other="x"))
    apply("calc", {"runtime": "rawpython", "paramsFrom": source})
    told = eventually(lambda: apply.waits("CreateContainerConfigError"))
    assert told == message.format(namespace=apply.namespace)


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def test_a_secret_that_comes_later_lets_the_server_start(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", {"runtime": "rawpython", "paramsFrom": {"secretKeyRef": {"name": "code", "key": "tools"}}})
    eventually(lambda: apply.waits("CreateContainerConfigError"))
    apply.plane.request("POST", apply.path("Secret"), secret("code", tools=CODE))
    eventually(lambda: apply.available("calc"))
    assert ask(node.url(apply.namespace, "mcpserver-calc", "/mcp"), "add", a=1, b=1) == 2


def test_large_params_are_read_from_the_mounted_config_map(node: FakeNode, apply: Any, eventually: Eventually):
    apply("large", {**RAW, "params": CODE + "#" * 70_000})
    eventually(lambda: apply.available("large"))
    assert ask(node.url(apply.namespace, "mcpserver-large", "/mcp"), "add", a=1, b=1) == 2


def test_a_missing_service_account_stands_in_the_deployments_condition(
    node: FakeNode, apply: Any, eventually: Eventually
):
    apply("calc", {**RAW, "serviceAccountName": "robot"})
    status, reason, message = eventually(lambda: (found := apply.condition("calc", "ReplicaFailure"))[0] and found)
    assert (status, reason) == ("True", "FailedCreate")
    account = f'error looking up service account {apply.namespace}/robot: serviceaccount "robot" not found'
    pod = message.partition('"')[2].partition('"')[0]
    assert message == f'pods "{pod}" is forbidden: {account}'
    assert pod.startswith("mcpserver-calc-")
    assert pod.endswith("-")
    account_path = f"/api/v1/namespaces/{apply.namespace}/serviceaccounts"
    apply.plane.request("POST", account_path, {"metadata": {"name": "robot"}})
    eventually(lambda: apply.available("calc"))
    assert apply.condition("calc", "ReplicaFailure")[0] == ""


def test_a_deleted_owner_takes_everything_along(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    (pid,) = node.pids(apply.namespace, "mcpserver-calc")
    deleted = apply.plane.kubectl("delete", "mcp", "calc", "-n", apply.namespace)
    assert deleted.returncode == 0, deleted.stderr
    kinds = ("Deployment", "Service", "ReplicaSet", "Pod")
    eventually(lambda: not any(apply.list(kind) for kind in kinds))
    eventually(lambda: not psutil.pid_exists(pid))


def test_an_owner_that_is_deleted_in_the_foreground_goes_last(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    deleted = apply.plane.kubectl(
        "delete", "mcp", "calc", "-n", apply.namespace, "--cascade=foreground", "--timeout=30s"
    )
    assert deleted.returncode == 0, deleted.stderr
    assert apply.list("Deployment") == []


def test_three_replicas_are_three_pods_and_none_is_none(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", {**RAW, "replicas": 3})
    eventually(lambda: apply.available("calc"))
    assert len(apply.list("Pod")) == 3
    apply("calc", {**RAW, "replicas": 0})
    eventually(lambda: not apply.list("Pod"))
    eventually(lambda: apply.available("calc"))
    assert node.pids(apply.namespace, "mcpserver-calc") == []


def test_a_deleted_pod_is_replaced(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    (old,) = apply.list("Pod")
    deleted = apply.plane.kubectl("delete", "pod", old["metadata"]["name"], "-n", apply.namespace, "--timeout=30s")
    assert deleted.returncode == 0, deleted.stderr
    eventually(lambda: apply.available("calc") and apply.list("Pod")[0]["metadata"]["uid"] != old["metadata"]["uid"])


def test_kubectl_restarts_a_rollout_and_waits_for_its_end(node: FakeNode, apply: Any, eventually: Eventually):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    before = node.pids(apply.namespace, "mcpserver-calc")
    for arguments in (("restart",), ("status", "--timeout=60s")):
        done = apply.plane.kubectl(
            "rollout", arguments[0], "deployment/mcpserver-calc", "-n", apply.namespace, *arguments[1:]
        )
        assert done.returncode == 0, done.stderr
    assert node.pids(apply.namespace, "mcpserver-calc") != before


def test_the_node_goes_on_after_a_restart_of_the_api_server(
    control_plane: ControlPlane, node: FakeNode, apply: Any, eventually: Eventually
):
    apply("calc", RAW)
    eventually(lambda: apply.available("calc"))
    running = node.pids(apply.namespace, "mcpserver-calc")
    control_plane.restart_api_server(compact=True)
    apply("other", RAW)
    eventually(lambda: apply.available("other"))
    assert node.pids(apply.namespace, "mcpserver-calc") == running


HOLDS_A_NODE = """
import sys, time
from controlplane.node import FakeNode
from types import SimpleNamespace
from pathlib import Path
url, authority, token, namespace = sys.argv[1:]
plane = SimpleNamespace(url=url, authority=Path(authority), token=lambda: token)
with FakeNode(plane, [namespace]) as node:
    while not node.pids(namespace, "mcpserver-calc"):
        time.sleep(0.05)
    print(node.folder, node.pids(namespace, "mcpserver-calc")[0], flush=True)
    time.sleep(100)
"""


def test_a_killed_node_leaves_no_process_and_no_folder(
    control_plane: ControlPlane, namespace: str, apply: Any, eventually: Eventually
):
    apply("calc", RAW)
    arguments = [control_plane.url, str(control_plane.authority), control_plane.token(), namespace]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_NODE, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "tools")},
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        folder, pid = holder.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        holder.send_signal(signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(int(pid)))
    eventually(lambda: not Path(folder).exists())


def test_a_program_that_no_longer_answers_is_restarted(
    control_plane: ControlPlane, namespace: str, apply: Any, eventually: Eventually
):
    from controlplane.node import FakeNode
    from kaos_cli.local.settings import Settings

    quick = Settings(probe_interval=0.2, probe_timeout=0.5, live_interval=0.2, live_timeout=0.5, stop_grace=0.5)
    with FakeNode(control_plane, [namespace], settings=quick) as node:
        apply("calc", RAW)
        eventually(lambda: apply.available("calc"))
        (pid,) = node.pids(namespace, "mcpserver-calc")
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: apply.condition("calc", "Available")[0] == "False")
        # It is no rollout that goes wrong.
        assert apply.condition("calc", "Progressing")[1] == "NewReplicaSetAvailable"
        eventually(lambda: apply.container().get("restartCount") == 1 and apply.available("calc"))
        assert apply.container()["lastState"]["terminated"]["exitCode"] == 137


def test_a_rollout_that_does_not_go_on_has_failed(node: FakeNode, apply: Any, eventually: Eventually):
    apply("own", {"runtime": "custom", "container": {"image": "registry.example/tools:1"}})
    deadline = '{"spec": {"progressDeadlineSeconds": 1}}'
    patched = apply.plane.kubectl("patch", "deployment", "mcpserver-own", "-n", apply.namespace, "-p", deadline)
    assert patched.returncode == 0, patched.stderr
    _, reason, message = eventually(lambda: (found := apply.condition("own", "Progressing"))[0] == "False" and found)
    assert reason == "ProgressDeadlineExceeded"
    assert message.endswith("has timed out progressing.")
