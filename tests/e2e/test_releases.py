"""Helm's side: an upgrade that touches no server, an uninstall that keeps them, an operator for one namespace."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from e2e import tools
from e2e.kubectl import Kubectl
from e2e.release import Release
from e2e.servers import saying, server


def state(kubectl: Kubectl) -> dict[str, Any]:
    """What an operator could have changed: the specs it wrote, and the pods made of them."""
    made = {item["metadata"]["name"]: item["metadata"]["generation"] for item in kubectl.items("deployments")}
    pods = {
        item["metadata"]["name"]: [status["restartCount"] for status in item["status"]["containerStatuses"]]
        for item in kubectl.items("pods")
    }
    return {"generations": made, "pods": pods}


def answers(kubectl: Kubectl, name: str) -> Any:
    with tools.forwarded(kubectl, name) as url:
        return asyncio.run(tools.call(url, "say", {}))


def wait_until_settled(system: Kubectl) -> None:
    """Until the newest operator leads and has looked at everything: no resource waits in its queue."""
    pods = system.items("pods", "app.kubernetes.io/name=kaos-operator")
    (pod,) = (item["metadata"]["name"] for item in pods if "deletionTimestamp" not in item["metadata"])
    system.wait("lease/kaos-operator", f"jsonpath={{.spec.holderIdentity}}={pod}")
    with system.forward(f"pod/{pod}", 8080) as origin:
        asyncio.run(_empty(f"{origin}/metrics"))


async def _empty(url: str) -> None:
    import httpx2

    async with httpx2.AsyncClient() as client, asyncio.timeout(60):
        while True:
            text = (await client.get(url)).text
            leads = re.search(r"^kaos_leader 1\.0$", text, re.MULTILINE)
            looked = re.search(r'^kaos_reconciles_total\{kind="MCPServer".* [1-9]', text, re.MULTILINE)
            if leads and looked and re.search(r"^kaos_queue_length 0\.0$", text, re.MULTILINE):
                return
            await asyncio.sleep(0.2)


def test_an_upgrade_of_the_operator_rolls_no_server(release: Release, kubectl: Kubectl, system: Kubectl):
    for name in ("one", "two", "three"):
        kubectl.apply(server(name, params=saying(name)))
    for name in ("one", "two", "three"):
        kubectl.wait(f"mcp/{name}", "condition=Ready")
    before, old = state(kubectl), {item["metadata"]["uid"] for item in system.items("pods")}
    release.install({"logLevel": "DEBUG"})
    try:
        wait_until_settled(system)
        left = {item["metadata"]["uid"] for item in system.items("pods") if "deletionTimestamp" not in item["metadata"]}
        assert not old & left
        # And it works: something new becomes Ready.
        kubectl.apply(server("four", params=saying("four")))
        kubectl.wait("mcp/four", "condition=Ready")
        kubectl("delete", "mcp", "four", "--cascade=foreground", "--wait")
        assert state(kubectl) == before
    finally:
        release.install()


def test_an_uninstall_keeps_servers_which_go_on_serving_and_an_install_takes_them_up(
    release: Release, kubectl: Kubectl, system: Kubectl
):
    kubectl.apply(server("stays", params=saying("still here")))
    kubectl.wait("mcp/stays", "condition=Ready")
    before = state(kubectl)
    with release.absent():
        assert system.items("pods") == []
        assert kubectl.get("mcp/stays")["spec"]["params"] == saying("still here")
        assert answers(kubectl, "stays") == "still here"
        # Deleting needs no operator: there are no finalizers.
        kubectl.apply(server("later", params=saying("later")))
        kubectl("delete", "mcp", "later", "--wait", "--timeout=30s")
        kubectl.apply(server("waits", params=saying("now")))
    kubectl.wait("mcp/waits", "condition=Ready")
    wait_until_settled(system)
    after = state(kubectl)
    assert {name: after["pods"][name] for name in before["pods"]} == before["pods"]
    assert after["generations"]["mcpserver-stays"] == before["generations"]["mcpserver-stays"]


def test_a_release_for_one_namespace_has_no_clusterrole_and_serves_that_one_alone(
    release: Release, kubectl: Kubectl, namespaces: Any
):
    other = namespaces.create(f"{kubectl.namespace}-other")
    scoped = Release(
        "kaos-scoped",
        kubectl.namespace,
        {"rbac.scope": "namespace", "rbac.namespaces[0]": kubectl.namespace},
    )
    with release.absent():
        try:
            scoped.install()
            assert [kind for kind in ("ClusterRole", "ClusterRoleBinding") if scoped.manifest_names(kind)] == []
            other.apply(server("unseen", params=saying("x")))
            kubectl.apply(server("seen", params=saying("mine")))
            kubectl.wait("mcp/seen", "condition=Ready")
            assert answers(kubectl, "seen") == "mine"
            assert "status" not in other.get("mcp/unseen")
            (account,) = scoped.manifest_names("ServiceAccount")
            asked = f"--as=system:serviceaccount:{kubectl.namespace}:{account}"
            assert kubectl.run("auth", "can-i", "list", "pods", asked).stdout.strip() == "yes"
            assert other.run("auth", "can-i", "list", "pods", asked).stdout.strip() == "no"
            assert other.run("auth", "can-i", "list", "mcpservers.kaos.tools", asked).stdout.strip() == "no"
        finally:
            scoped.uninstall()
            namespaces.delete(other.namespace)
