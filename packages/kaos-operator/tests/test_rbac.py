"""The operator may do exactly what it needs; and what `deploy/` says about rights is so, on a real API server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from kaos_operator.rbac import NAME, manifests, resource_rules, system_rules, user_roles

ROOT = Path(__file__).parents[3]
KINDS = ["agents", "mcpservers", "modelapis"]
KEEP = {"get", "list", "watch", "create", "patch", "delete"}
RESOURCES = {
    ("kaos.tools", "agents"): {"list", "watch"},
    ("kaos.tools", "mcpservers"): {"list", "watch"},
    ("kaos.tools", "modelapis"): {"list", "watch"},
    ("kaos.tools", "agents/status"): {"patch"},
    ("kaos.tools", "mcpservers/status"): {"patch"},
    ("kaos.tools", "modelapis/status"): {"patch"},
    ("kaos.tools", "agents/finalizers"): {"update"},
    ("kaos.tools", "mcpservers/finalizers"): {"update"},
    ("kaos.tools", "modelapis/finalizers"): {"update"},
    ("apps", "deployments"): KEEP,
    ("", "services"): KEEP,
    ("", "configmaps"): KEEP,
    ("gateway.networking.k8s.io", "httproutes"): KEEP,
    ("", "pods"): {"list", "watch"},
    ("", "secrets"): {"create"},
    ("", "events"): {"create"},
}
SYSTEM = {
    ("", "configmaps"): {"get", "list", "watch", "create", "patch"},
    ("", "events"): {"create"},
    ("coordination.k8s.io", "leases"): {"create"},
    ("coordination.k8s.io", "leases", NAME): {"get", "update"},
}
WHOLE_CLUSTER = {**RESOURCES, ("", "namespaces"): {"list", "watch"}}
SPARE = {
    # Only with the admission plugin OwnerReferencesPermissionEnforcement.
    *((f"{kind}/finalizers", "update") for kind in KINDS),
    # Only when a plan no longer has one: the gateway was taken away, a plugin no longer adds it, a server has moved.
    *((kind, "delete") for kind in ("deployments", "services", "httproutes")),
}
"""What it has a right to and does not use in the test that looks."""


def granted(rules):
    """Rules -> verbs by group and resource, and by name where the rule is for one."""
    found = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for key in [(group, resource, name) for name in rule.get("resourceNames") or ()] or [(group, resource)]:
                    found[key] = found.get(key, set()) | set(rule["verbs"])
    return found


def rules_of(objects, kind):
    return [rule for obj in objects if obj["kind"] == kind for rule in obj["rules"]]


# What it has.


def test_no_right_comes_without_this_test_being_changed():
    """The snapshot: a new verb or resource is a decision."""
    assert granted(resource_rules(KINDS)) == RESOURCES
    assert granted(system_rules()) == SYSTEM
    whole = manifests(KINDS, "kaos-system")
    assert granted(rules_of(whole, "ClusterRole")) == WHOLE_CLUSTER
    assert granted(rules_of(whole, "Role")) == SYSTEM


def test_an_operator_for_some_namespaces_has_roles_there_and_nothing_cluster_wide():
    made = manifests(KINDS, "kaos-system", ["red", "blue"])
    assert {obj["kind"] for obj in made} == {"ServiceAccount", "Role", "RoleBinding"}
    roles = {obj["metadata"]["namespace"]: granted(obj["rules"]) for obj in made if obj["kind"] == "Role"}
    assert roles == {"kaos-system": SYSTEM, "red": RESOURCES, "blue": RESOURCES}
    for binding in (obj for obj in made if obj["kind"] == "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": "kaos-system"}]


class Account:
    """The operator's ServiceAccount in a system namespace of its own, serving another one."""

    def __init__(self, plane, system, served):
        from controlplane.operators import grant

        self.plane, self.system, self.served = plane, system, served
        self.kubeconfig = grant(plane, system, [served])
        self.token = json.loads(self.kubeconfig.read_text())["users"][0]["user"]["token"]

    def ask(self, method, path, body=None, **options):
        return self.plane.client.request(method, path, body, token=self.token, **options)

    def rules(self, namespace):
        """Everything it may do there, as the API server says; less what every account may."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        status, answer = self.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
        assert (status, answer["status"]["incomplete"]) == (201, False)
        everybodys = ("authorization.k8s.io", "authentication.k8s.io")
        return granted(rule for rule in answer["status"]["resourceRules"] if rule["apiGroups"][0] not in everybodys)


@pytest.fixture(scope="module")
def account(control_plane):
    from controlplane import namespaces

    system, served = namespaces.create(control_plane.client), namespaces.create(control_plane.client)
    yield Account(control_plane, system, served)
    for name in (system, served):
        namespaces.delete(control_plane.client, name)


def test_the_api_server_says_the_same_of_its_account(account):
    assert account.rules(account.served) == RESOURCES
    assert account.rules(account.system) == SYSTEM
    assert account.rules("default") == {}


def test_kubectl_auth_can_i_says_the_same(account):
    for resource, verb, answer in [
        ("mcpservers.kaos.tools", "list", "yes"),
        ("secrets", "create", "yes"),
        ("secrets", "get", "no"),
        ("secrets", "list", "no"),
        ("secrets", "update", "no"),
        ("roles", "create", "no"),
        ("pods/exec", "create", "no"),
    ]:
        asked = ["auth", "can-i", verb, resource, "-n", account.served]
        assert account.plane.kubectl(*asked, kubeconfig=account.kubeconfig).stdout.strip() == answer, (verb, resource)


RBAC = "/apis/rbac.authorization.k8s.io/v1"
ATTEMPTS = [
    ("GET", "/api/v1/namespaces/{served}/secrets"),
    ("GET", "/api/v1/namespaces/{served}/secrets/theirs"),
    ("GET", "/api/v1/namespaces/{served}/secrets?watch=1"),
    ("GET", "/api/v1/secrets"),
    ("PUT", "/api/v1/namespaces/{served}/secrets/theirs"),
    ("PATCH", "/api/v1/namespaces/{served}/secrets/theirs"),
    ("DELETE", "/api/v1/namespaces/{served}/secrets/theirs"),
    ("GET", "/api/v1/namespaces/{system}/secrets"),
    ("POST", "/api/v1/namespaces/default/secrets"),
    ("POST", "/api/v1/namespaces/{served}/serviceaccounts/default/token"),
    ("POST", "/api/v1/namespaces/{served}/serviceaccounts"),
    ("POST", "/api/v1/namespaces/{served}/pods"),
    ("POST", "/api/v1/namespaces/{served}/pods/a/exec"),
    ("GET", "/api/v1/namespaces/{served}/pods/a/log"),
    ("POST", RBAC + "/namespaces/{served}/roles"),
    ("PATCH", RBAC + "/namespaces/{served}/roles/kaos-operator"),
    ("POST", RBAC + "/namespaces/{served}/rolebindings"),
    ("POST", RBAC + "/clusterroles"),
    ("POST", RBAC + "/clusterrolebindings"),
    ("PATCH", "/api/v1/namespaces/{served}"),
    ("GET", "/api/v1/namespaces"),
    ("GET", "/api/v1/nodes"),
    ("GET", "/apis/kaos.tools/v1alpha1/mcpservers"),
    ("PATCH", "/apis/kaos.tools/v1alpha1/namespaces/{served}/mcpservers/a"),
    ("DELETE", "/apis/kaos.tools/v1alpha1/namespaces/{served}/mcpservers/a"),
    ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kaos-resources"),
    ("PUT", "/apis/coordination.k8s.io/v1/namespaces/{system}/leases/others"),
    ("GET", "/apis/coordination.k8s.io/v1/namespaces/{served}/leases"),
]


@pytest.mark.parametrize(("method", "path"), ATTEMPTS)
def test_what_it_has_no_right_to_it_cannot_do(account, method, path):
    body = None if method in ("GET", "DELETE") else {"metadata": {"name": "a"}}
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    path = path.format(served=account.served, system=account.system)
    status, answer = account.ask(method, path, body, content_type=content)
    assert status == 403, answer
    assert "cannot" in answer["message"]


def test_it_cannot_be_somebody_else(account):
    status, answer = account.ask("GET", "/api/v1/nodes", headers={"Impersonate-User": "admin"})
    assert status == 403
    assert "cannot impersonate" in answer["message"]


# What it uses.


@pytest.fixture(scope="module")
def scope():
    """The whole cluster: with the rights for namespaces."""
    return []


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_GATEWAY": "infra/gateway"}


def test_it_uses_every_right_it_has_and_asks_for_no_other(world):
    mark = 0
    large = world.ADD + "# " + "x" * 70_000
    world.create(world.server("large", params=large))
    world.create(world.server("api", kind="ModelAPI", mode="Proxy", proxyConfig={"models": ["gpt-4"]}))
    world.create(world.server("helper", kind="Agent", modelAPI="api", model="gpt-4", waitForDependencies=False))
    world.create(world.server("unknown", runtime="nothing-like-it"))
    for child in strangers():
        world.create(child)
        world.create(world.server(child["metadata"]["labels"]["for"], params=large))
    world.until_programmed("large")
    assert world.get("HTTPRoute", "mcpserver-large")
    for name, kind in (("api", "ModelAPI"), ("helper", "Agent")):
        world.until_programmed(name, kind)
    world.edit("MCPServer", "large", params=world.ADD)
    world.until(lambda: world.get("ConfigMap", "mcpserver-large-params") is None)
    for child in strangers():
        world.until_condition("MCPServer", child["metadata"]["labels"]["for"], "Programmed", "False", "NameConflict")
    world.until(lambda: [event for event in world.list("Event") if event["involvedObject"]["name"] == "unknown"])

    user = f"system:serviceaccount:{world.namespace}:{NAME}"
    assert world.operator.stop() == 0
    world.operator.start()
    rights = {(key[1], verb) for rules in (WHOLE_CLUSTER, SYSTEM) for key, verbs in rules.items() for verb in verbs}

    def used():
        asked = [request for request in world.plane.requests(mark, user=user) if request.resource]
        assert [request for request in asked if request.code == 403] == []
        # An apply that makes the object is a patch that needs the right to create as well.
        return {
            ("/".join(filter(None, (request.resource, request.subresource))), verb)
            for request in asked
            for verb in ([request.verb, "create"] if request.code == 201 else [request.verb])
        }

    with contextlib.suppress(AssertionError):  # what is missing is told below
        world.until(lambda: rights - used() <= SPARE, 20)
    assert rights - used() == SPARE
    assert used() <= rights


def strangers():
    """An object of somebody else in the way of each kind of child."""
    labels = {"app": "theirs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    for version, kind, name, rest in [
        ("v1", "Service", "mcpserver-a", {"spec": {"ports": [{"port": 1}]}}),
        ("apps/v1", "Deployment", "mcpserver-b", {"spec": {"selector": {"matchLabels": labels}, "template": pod}}),
        ("v1", "ConfigMap", "mcpserver-c-params", {"data": {}}),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "mcpserver-d", {"spec": {}}),
    ]:
        metadata = {"name": name, "labels": {**labels, "for": name.split("-")[1]}}
        yield {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


# People, and the page.


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("kaos-view", {"get", "list", "watch"}),
        ("kaos-edit", {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}),
        ("kaos-admin", {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}),
    ],
)
def test_roles_for_people_are_part_of_the_cluster_s_own_and_give_no_status(role, may):
    made = {obj["metadata"]["name"]: obj for obj in user_roles(KINDS)}
    assert set(made) == {"kaos-view", "kaos-edit", "kaos-admin"}
    label = f"rbac.authorization.k8s.io/aggregate-to-{role.removeprefix('kaos-')}"
    assert made[role]["metadata"]["labels"][label] == "true"
    rules = granted(made[role]["rules"])
    assert {key for key in rules if key[0] != "kaos.tools"} == set()
    assert [rules["kaos.tools", kind] for kind in KINDS] == [may] * 3
    assert [rules["kaos.tools", f"{kind}/status"] for kind in KINDS] == [{"get", "list", "watch"}] * 3


def test_the_commands_of_the_page_work(control_plane):
    """`deploy/README.md` as it is, then its roles by an author who is bound to one."""
    from controlplane import namespaces

    page = (ROOT / "deploy" / "README.md").read_text()
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S))
    folder = Path(control_plane.binaries.kubectl).parent
    env = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}
    try:
        done = subprocess.run(["bash", "-ec", commands], env=env, cwd=ROOT, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        bound = ["create", "rolebinding", "author", "--clusterrole=kaos-edit", "--user=alice", "-n", "blue"]
        assert control_plane.kubectl(*bound).returncode == 0
        alice = control_plane.kubeconfig_for("alice")
        for asked, answer in {
            ("create", "mcpservers.kaos.tools", "blue"): "yes",
            ("patch", "mcpservers.kaos.tools/status", "blue"): "no",
            ("create", "pods", "blue"): "no",
            ("create", "mcpservers.kaos.tools", "default"): "no",
        }.items():
            verb, resource, namespace = asked
            resource, _, part = resource.partition("/")
            words = ["auth", "can-i", verb, resource, "-n", namespace, *([f"--subresource={part}"] if part else [])]
            assert control_plane.kubectl(*words, kubeconfig=alice).stdout.strip() == answer, asked
    finally:
        control_plane.kubectl("delete", "--ignore-not-found", "-f", str(ROOT / "deploy" / "admission-policy.yaml"))
        control_plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(ROOT / "deploy" / "rbac.yaml"))
        for name in ("blue", "kaos-system"):
            namespaces.delete(control_plane.client, name)
