"""The admission policy as it is in `deploy/`: nobody gets a pod by the operator that they could not make themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kaos_core.kinds import agent, mcpserver, modelapi
from kaos_core.plan import plan
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry

ROOT = Path(__file__).parents[3]
KINDS = {kind.name: kind for kind in (mcpserver.KIND, agent.KIND, modelapi.KIND)}
BASES = {
    "MCPServer": {"runtime": "rawpython", "params": "def f() -> int:\n    return 1\n"},
    "Agent": {"modelAPI": "api", "model": "gpt-4"},
    "ModelAPI": {"mode": "Proxy"},
}
MERGE = "application/merge-patch+json"
POLICY = ROOT / "deploy" / "admission-policy.yaml"
# As the seed prints it (S4, 6.2).
PRINTED = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: mcpserver-k8s-tools
  namespace: default
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: mcpserver-k8s-tools
  namespace: default
rules:
- apiGroups: [""]
  resources: ["pods", "services"]
  verbs: ["get", "list", "watch"]
- apiGroups: ["apps"]
  resources: ["deployments"]
  verbs: ["get", "list", "watch"]
- apiGroups: [""]
  resources: ["pods/log"]
  verbs: ["get"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: mcpserver-k8s-tools
  namespace: default
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: mcpserver-k8s-tools
subjects:
- kind: ServiceAccount
  name: mcpserver-k8s-tools
  namespace: default
"""


@pytest.fixture(scope="module")
def plugins():
    return Plugins.installed({})


@pytest.fixture(scope="module")
def registry(plugins):
    return Registry.build(plugins)


class Author:
    """Somebody who writes resources in one namespace."""

    def __init__(self, plane, namespace, token):
        self.plane, self.namespace, self.token = plane, namespace, token

    def path(self, kind, name=""):
        path = f"/apis/kaos.tools/v1alpha1/namespaces/{self.namespace}/{KINDS[kind].plural}"
        return f"{path}/{name}" if name else path

    def create(self, kind="MCPServer", name="probe", *, dry=True, **spec):
        made = document(kind, name, **spec)
        return self.plane.request("POST", self.path(kind) + ("?dryRun=All" if dry else ""), made, token=self.token)

    def merge(self, name, patch, kind="MCPServer"):
        return self.plane.request("PATCH", self.path(kind, name), patch, content_type=MERGE, token=self.token)


def document(kind, name, **spec):
    spec = {**BASES[kind], **spec}
    return {"apiVersion": "kaos.tools/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def policy(world):
    """The policy, from when it is in force until it no longer is."""
    plane = world.plane
    admin = Author(plane, world.namespace, None)
    assert plane.kubectl("apply", "--server-side", "-f", str(POLICY)).returncode == 0
    try:
        world.until(lambda: admin.create(podSpec={"hostPID": True})[0] == 403)
        yield
    finally:
        plane.kubectl("delete", "--wait", "-f", str(POLICY))
        world.until(lambda: admin.create(podSpec={"hostPID": True})[0] == 201)


@pytest.fixture(scope="module")
def admin(world, policy):
    return Author(world.plane, world.namespace, None)


@pytest.fixture(scope="module")
def alice(world, policy):
    """She may write our resources and nothing else."""
    return bound(world, "alice", ("kaos.tools", [kind.plural for kind in KINDS.values()]))


@pytest.fixture(scope="module")
def bob(world, policy):
    """He may create pods as well."""
    return bound(world, "bob", ("kaos.tools", [kind.plural for kind in KINDS.values()]), ("", ["pods"]))


def bound(world, name, *rights):
    verbs = ["get", "create", "update", "patch", "delete"]
    rules = [{"apiGroups": [group], "resources": resources, "verbs": verbs} for group, resources in rights]
    group = "rbac.authorization.k8s.io"
    meta = {"name": f"author-{name}", "namespace": world.namespace}
    items = [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": meta["name"]},
            "subjects": [{"kind": "User", "name": name}],
        },
    ]
    done = world.plane.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    assert done.returncode == 0, done.stderr
    made = Author(world.plane, world.namespace, world.plane.token(name))
    world.until(lambda: made.create()[0] == 201)
    return made


def container(name="mcp-server", **fields):
    return {"podSpec": {"containers": [{"name": name, **fields}]}}


def volume(**source):
    return {"volumes": [{"name": "v", **source}]}


TOKEN = {"serviceAccountToken": {"path": "token"}}
BORROWING = [
    ({"serviceAccountName": "admin"}, "spec.serviceAccountName"),
    ({"serviceAccountName": "default"}, "spec.serviceAccountName"),
    ({"podSpec": {"serviceAccountName": "admin"}}, "spec.podSpec.serviceAccountName"),
    ({"podSpec": {"serviceAccount": "admin"}}, "spec.podSpec.serviceAccount"),
    ({"podSpec": {"automountServiceAccountToken": True}}, "spec.podSpec.automountServiceAccountToken"),
    ({"podSpec": {"volumes": [{"name": "v", "projected": {"sources": [TOKEN]}}]}}, "spec.podSpec.volumes"),
    ({"podSpec": {"initContainers": [{"name": "a", "image": "a"}]}}, "spec.podSpec.initContainers"),
    ({"podSpec": {"$retainKeys": ["containers"]}}, "spec.podSpec.$retainKeys"),
    ({"podSpec": {"nodeName": "a"}}, "spec.podSpec.nodeName"),
    ({"podSpec": {"priorityClassName": "system-node-critical"}}, "spec.podSpec.priorityClassName"),
    (container(securityContext={"runAsUser": 5}), "spec.podSpec.containers[].securityContext"),
    (container(lifecycle={}), "spec.podSpec.containers[].lifecycle"),
    (container(ports=[]), "spec.podSpec.containers[].ports"),
    (container(**{"$patch": "delete"}), "spec.podSpec.containers[].$patch"),
    (volume(projected={"sources": [{"secret": {"name": "a"}}, TOKEN]}), "spec.volumes[v]"),
    (volume(projected={}), "spec.volumes[v]"),
    (volume(projected={"sources": [5]}), "spec.volumes[v]"),
    (volume(projected="x"), "spec.volumes[v]"),
    (volume(csi={"driver": "a"}), "spec.volumes[v]"),
    (volume(hostPath={"path": "/var/lib/kubelet"}), "spec.volumes[v]"),
]
FREE = [
    {},
    {"podSpec": {}},
    container(resources={"limits": {"memory": "1Gi"}}, env=[{"name": "A", "value": "1"}], image="a/b:1"),
    {
        **container(command=["a"], args=["b"], volumeMounts=[{"name": "v", "mountPath": "/v"}], envFrom=[]),
        **volume(emptyDir={}),
    },
    container("beside", image="a/b:1", imagePullPolicy="Always"),
    {"container": {"image": "a/b:1", "env": [{"name": "A", "value": "1"}]}},
    volume(configMap={"name": "a"}),
    volume(secret={"secretName": "a"}),
    volume(emptyDir={}),
    volume(persistentVolumeClaim={"claimName": "a"}),
    volume(projected={"sources": [{"configMap": {"name": "a"}}]}),
    {"replicas": 2, "healthCheck": {"enabled": False}, "imagePullSecrets": [{"name": "a"}]},
]


# Borrowed ServiceAccounts.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spec", "field"), BORROWING)
def test_b38_who_may_not_create_pods_borrows_no_service_account(alice, kind, spec, field):
    """B38"""
    status, answer = alice.create(kind, **spec)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert f"{field}: only for those who may create pods in namespace {alice.namespace}" in answer["message"]


@pytest.mark.parametrize(("spec", "field"), [row for row in BORROWING if "hostPath" not in str(row)])
def test_b38_who_may_create_pods_may(bob, spec, field):
    """B38"""
    status, answer = bob.create(**spec)
    assert status == 201, answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", FREE)
def test_what_only_spec_container_could_say_too_is_free(alice, kind, spec):
    status, answer = alice.create(kind, **spec)
    assert status == 201, answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", [spec for spec, _ in BORROWING] + FREE)
def test_b38_whatever_is_let_through_is_planned_as_a_pod_without_a_service_account(
    alice, plugins, registry, kind, spec
):
    """B38: the policy and the plan, put together, for every runtime that needs no token itself."""
    status, stored = alice.create(kind, **spec)
    if status == 201:
        (pod,) = [
            made["spec"]["template"]["spec"]
            for made in plan(stored, registry, plugins).objects
            if made["kind"] == "Deployment"
        ]
        assert "serviceAccountName" not in pod
        assert "serviceAccount" not in pod
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountToken" not in str(pod)
    else:
        assert spec not in FREE


def test_b38_a_server_that_borrows_is_changed_only_by_who_may_borrow(world, alice, bob):
    """B38: other params would be other code under the same account."""
    status, _ = bob.create(name="borrower", dry=False, serviceAccountName="admin")
    assert status == 201
    evil = {"spec": {"params": "def f() -> int:\n    return 2\n"}}
    status, answer = alice.merge("borrower", evil)
    assert (status, "spec.serviceAccountName: only for those" in answer["message"]) == (403, True)
    whole = world.get("MCPServer", "borrower")
    whole["spec"]["params"] = "x = 1"
    assert alice.plane.request("PUT", alice.path("MCPServer", "borrower"), whole, token=alice.token)[0] == 403
    applied = json.dumps(document("MCPServer", "borrower", **evil["spec"]))
    path = alice.path("MCPServer", "borrower") + "?fieldManager=alice&force=true"
    kind = "application/apply-patch+yaml"
    assert alice.plane.request("PATCH", path, applied, content_type=kind, token=alice.token)[0] == 403
    assert bob.merge("borrower", evil)[0] == 200
    assert alice.merge("borrower", {"spec": {"serviceAccountName": None}})[0] == 200, "to give it back is allowed"
    assert alice.merge("borrower", {"spec": {"serviceAccountName": "admin"}})[0] == 403
    world.delete("MCPServer", "borrower")


def test_b38_alice_gets_no_pod_that_runs_as_admin(world, alice):
    """B38: everything she can think of, with an operator that does what the API server lets through."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "admin"}}
    world.create(account)
    created = []
    for number, spec in enumerate([*(spec for spec, _ in BORROWING), *FREE]):
        name = f"try-{number}"
        if alice.create(name=name, dry=False, **spec)[0] == 201:
            created.append(name)
            assert alice.merge(name, {"spec": {"serviceAccountName": "admin"}})[0] == 403
            assert alice.merge(name, {"spec": {"podSpec": {"serviceAccountName": "admin"}}})[0] == 403
    assert len(created) == len(FREE)
    for name in created:
        world.until_programmed(name)
    hers = [obj for obj in world.list("Deployment") if obj["metadata"]["name"].startswith("mcpserver-try-")]
    pods = [obj["spec"]["template"]["spec"] for obj in hers]
    assert len(pods) == len(created)
    assert {pod.get("serviceAccountName") for pod in pods} == {None}
    assert {pod["automountServiceAccountToken"] for pod in pods} == {False}


def test_the_operator_s_own_writes_and_other_people_s_labels_pass(world, alice, bob):
    """The status of a server that borrows is written, and who may not borrow may still label and delete it."""
    bob.create(name="told", dry=False, serviceAccountName="admin")
    world.until_programmed("told")
    assert world.get("Deployment", "mcpserver-told")["spec"]["template"]["spec"]["serviceAccountName"] == "admin"
    status, answer = alice.merge("told", {"metadata": {"labels": {"team": "blue"}, "finalizers": ["example.com/a"]}})
    assert status == 200, answer
    assert alice.merge("told", {"metadata": {"finalizers": []}})[0] == 200
    assert alice.plane.request("DELETE", alice.path("MCPServer", "told"), token=alice.token)[0] == 200


def test_the_account_that_the_seed_prints_is_accepted_as_printed(world, bob):
    """S4, 6.2: applied as it stands; then a server with that account, by somebody who may create pods."""
    printed = PRINTED.replace("namespace: default", f"namespace: {world.namespace}")
    done = world.plane.kubectl("apply", "-f", "-", input=printed)
    assert done.returncode == 0, done.stderr
    status, answer = bob.create(name="k8s-tools", dry=False, serviceAccountName="mcpserver-k8s-tools")
    assert status == 201, answer
    world.until_programmed("k8s-tools")
    pod = world.get("Deployment", "mcpserver-k8s-tools")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("mcpserver-k8s-tools", True)
    asked = ["auth", "can-i", "list", "pods", "-n", world.namespace]
    account = f"--as=system:serviceaccount:{world.namespace}:mcpserver-k8s-tools"
    assert world.plane.kubectl(*asked, account).stdout.strip() == "yes"
    world.delete("MCPServer", "k8s-tools")


# Pod security.


def context(**fields):
    return container(securityContext=fields)


BASELINE = [
    ({"podSpec": {"hostNetwork": True}}, "hostNamespaces"),
    ({"podSpec": {"hostPID": True}}, "hostNamespaces"),
    ({"podSpec": {"hostIPC": True}}, "hostNamespaces"),
    ({"podSpec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}, "hostPathVolumes"),
    (volume(hostPath={"path": "/"}), "hostPathVolumes"),
    (context(privileged=True), "privileged"),
    ({"podSpec": {"initContainers": [{"name": "a", "securityContext": {"privileged": True}}]}}, "privileged"),
    (context(capabilities={"add": ["SYS_ADMIN"]}), "capabilities"),
    (context(procMount="Unmasked"), "procMount"),
    (context(seccompProfile={"type": "Unconfined"}), "seccompProfile"),
    ({"podSpec": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}}, "seccompProfile"),
    (container(ports=[{"containerPort": 1, "hostPort": 1}]), "hostPorts"),
]
RESTRICTED = [
    ({"podSpec": {"securityContext": {"runAsUser": 0}}}, "runAsUser"),
    (context(runAsUser=0), "runAsUser"),
    ({"security": {"runAsUser": 0}}, "runAsUser"),
    ({"security": {"runAsNonRoot": False}}, "runAsNonRoot"),
    (context(runAsNonRoot=False), "runAsNonRoot"),
    (context(allowPrivilegeEscalation=True), "allowPrivilegeEscalation"),
    (context(capabilities={"add": ["CHOWN"]}), "capabilities"),
    (volume(nfs={"server": "a", "path": "/"}), "restrictedVolumes"),
]


@pytest.fixture
def labelled(world):
    """Label the namespace; the label is taken away afterwards."""
    path = f"/api/v1/namespaces/{world.namespace}"

    def label(level):
        patch = {"metadata": {"labels": {"kaos.tools/pod-security": level}}}
        assert world.plane.request("PATCH", path, patch, content_type=MERGE)[0] == 200

    yield label
    label(None)


def let_through(world, admin, status, spec):
    """Namespaces reach admission by a watch: whether it comes to this answer."""
    return world.until(lambda: admin.create(**spec)[0] == status, 20)


@pytest.mark.parametrize(("spec", "control"), BASELINE + RESTRICTED)
def test_b35_nobody_gets_more_than_restricted_without_a_label(admin, spec, control):
    """B35: not even an administrator. Without the policy: test_bad_input_accepted.py"""
    status, answer = admin.create(**spec)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert f"not allowed at level restricted: {control}; label the namespace" in answer["message"]
    wanted = "privileged" if (spec, control) in BASELINE else "baseline"
    assert f"kaos.tools/pod-security={wanted} if that is meant" in answer["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_b35_holds_for_every_kind_and_names_every_control(admin, kind):
    """B35"""
    pod_spec = {"hostPID": True, "containers": [{"name": "a", "securityContext": {"privileged": True, "runAsUser": 0}}]}
    status, answer = admin.create(kind, podSpec=pod_spec)
    assert status == 403
    assert "hostNamespaces; privileged; runAsUser; label" in answer["message"]


def test_b35_a_label_allows_what_it_says(world, admin, labelled):
    """B35"""
    labelled("baseline")
    let_through(world, admin, 201, RESTRICTED[0][0])
    assert [admin.create(**spec)[0] for spec, _ in RESTRICTED] == [201] * len(RESTRICTED)
    assert [admin.create(**spec)[0] for spec, _ in BASELINE] == [403] * len(BASELINE)
    labelled("privileged")
    let_through(world, admin, 201, BASELINE[0][0])
    assert [admin.create(**spec)[0] for spec, _ in BASELINE + RESTRICTED] == [201] * len(BASELINE + RESTRICTED)
    labelled("nonsense")
    assert let_through(world, admin, 403, RESTRICTED[0][0])


def test_b35_a_label_gives_no_rights_on_pods(world, admin, alice, labelled):
    """B35 and B38: in a privileged namespace a hostPath would be the way to every token of the node."""
    labelled("privileged")
    let_through(world, admin, 201, BASELINE[0][0])
    assert {alice.create(**spec)[0] for spec, _ in BASELINE} == {403}


@pytest.mark.parametrize(
    "pod_spec",
    [
        {"containers": "x"},
        {"containers": [1, None, "x"]},
        {"containers": [{"name": "a", "securityContext": "x"}], "securityContext": ["x"]},
        {"containers": [{"name": "a", "securityContext": {"capabilities": {"add": "x"}}, "ports": "x"}]},
        {"containers": [{"name": "a", "securityContext": {"capabilities": ["x"], "seccompProfile": "x"}}]},
        {"volumes": "x", "initContainers": {"a": 1}},
        {"volumes": [None, 5, {"name": {}}]},
    ],
)
def test_b34_a_podspec_of_any_shape_is_judged_by_the_operator_and_breaks_no_policy(admin, pod_spec):
    """B34: what the operator says of it: test_bad_input_accepted.py"""
    status, answer = admin.create(podSpec=pod_spec)
    assert status == 201, answer


def test_the_examples_pass(admin):
    """Every example that people apply, by somebody who may create pods and in a namespace without a label."""
    seen = 0
    for path in sorted(ROOT.glob("examples/**/*.yaml")):
        for made in yaml.safe_load_all(path.read_text()):
            if isinstance(made, dict) and made.get("kind") in KINDS:
                made["metadata"].pop("namespace", None)
                answer = admin.plane.request(
                    "POST", admin.path(made["kind"]) + "?dryRun=All&fieldValidation=Strict", made
                )
                assert answer[0] == 201, (path, answer[1])
                seen += 1
    assert seen >= 10
