"""Other people's changes: what is ours comes back, what is theirs stays, and neither costs a write too many."""

import json

import pytest

LARGE = "def add(a: int, b: int) -> int:\n    return a + b\n" + "# long\n" * 12000
CANARY = "canary-4711-value"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
PATHS = {"HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"}


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_GATEWAY": "infra/gateway"}


def counted(world):
    series = world.operator.metrics()
    return sum(count for name, count in series.items() if name.startswith("kaos_reconciles_total"))


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap", "HTTPRoute"])
def test_a_child_that_somebody_deletes_comes_back(world, oracles, kind):
    """F30: every kind of child is made again, the same, with one write for it."""
    name = f"robbed-{kind.lower()}"
    world.create(world.server(name, params=LARGE))
    world.until_programmed(name)
    world.quiet(1)
    shape = oracles.shape(name)
    (child,) = [each["metadata"] for each in oracles.children(name) if each["kind"] == kind]
    mark = world.plane.mark()

    world.delete(kind, child["name"])

    world.until(lambda: (world.get(kind, child["name"]) or {"metadata": child})["metadata"]["uid"] != child["uid"])
    world.quiet(1)
    assert oracles.shape(name) == shape
    assert [(r.resource, r.name) for r in world.writes(mark)] == [(f"{kind.lower()}s", child["name"])]


def test_a_restart_by_kubectl_happens_once_and_stays(world):
    """F31: `kubectl rollout restart` is nobody's drift: no write, and an edit later keeps it."""
    world.create(world.server("restarted"))
    world.until_programmed("restarted")
    world.quiet(1)
    mark = world.plane.mark()

    done = world.plane.kubectl("rollout", "restart", "deployment/mcpserver-restarted", "-n", world.namespace)

    assert done.returncode == 0, done.stderr
    world.quiet()
    assert [r for r in world.writes(mark) if r.resource == "deployments"] == []
    world.edit("MCPServer", "restarted", params="def mul(a: int) -> int:\n    return a\n")
    world.until_programmed("restarted")
    template = world.get("Deployment", "mcpserver-restarted")["spec"]["template"]["metadata"]
    assert RESTARTED in template["annotations"]


def test_a_scale_by_others_stays_through_reconciles_and_edits(world):
    """F32: replicas are somebody else's while the spec says nothing of them; other people's annotations stay too."""
    world.create(world.server("scaled"))
    world.until_programmed("scaled")
    world.quiet(1)
    mark = world.plane.mark()
    scaled = world.plane.kubectl("scale", "deployment/mcpserver-scaled", "--replicas=5", "-n", world.namespace)
    assert scaled.returncode == 0, scaled.stderr
    world.merge("Service", "mcpserver-scaled", {"metadata": {"annotations": {"example.test/theirs": "kept"}}})

    before = counted(world)
    for number in range(20):
        world.merge("MCPServer", "scaled", {"metadata": {"labels": {"looked": str(number)}}})
        world.until(lambda number=number: counted(world) > before + number)
    world.quiet(1)
    assert {r.resource for r in world.writes(mark)} <= {"mcpservers"}
    world.edit("MCPServer", "scaled", params="def mul(a: int) -> int:\n    return a\n")
    world.until_programmed("scaled")

    assert world.get("Deployment", "mcpserver-scaled")["spec"]["replicas"] == 5
    assert world.get("Service", "mcpserver-scaled")["metadata"]["annotations"]["example.test/theirs"] == "kept"


def test_a_port_and_a_route_change_in_one_pass(world):
    """F34: endpoint, Deployment and route follow one edit, with one write each, of that generation; the Service too."""
    world.create(world.server("moved"))
    world.until_programmed("moved")
    world.quiet(1)
    before = world.get("MCPServer", "moved")["status"]
    mark = world.plane.mark()

    edited = world.edit(
        "MCPServer",
        "moved",
        transport={"protocol": "sse", "port": 3001, "path": "/sse"},
        gatewayRoute={"timeout": "7s"},
    )

    status = world.until_programmed("moved")["status"]
    world.quiet()
    assert sorted(r.resource for r in world.writes(mark)) == ["deployments", "httproutes", "mcpservers"]
    assert status["observedGeneration"] == edited["metadata"]["generation"]
    assert status["serviceEndpoint"].endswith("/sse")
    assert status["serviceEndpoint"] != before["serviceEndpoint"]
    (container,) = world.get("Deployment", "mcpserver-moved")["spec"]["template"]["spec"]["containers"]
    (served,) = world.get("Service", "mcpserver-moved")["spec"]["ports"]
    # The Service means the port by its name: it leads to the new one without a write.
    assert [port["containerPort"] for port in container["ports"] if port["name"] == served["targetPort"]] == [3001]
    assert "7s" in json.dumps(world.get("HTTPRoute", "mcpserver-moved")["spec"])


def test_what_a_stranger_made_under_our_name_is_left_alone(world, oracles):
    """F35: Deployment, Service, ServiceAccount and HPA of that name are there: byte-identical, and NameConflict."""
    labels = {"app": "theirs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "example.test/theirs:1"}]}}
    foreign = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "mcpserver-theirs"},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "mcpserver-taken"},
            "spec": {"ports": [{"port": 1}], "selector": labels},
        },
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
            for name in ("theirs", "mcpserver-theirs")
        ),
    ]
    for each in foreign:
        world.create(each)
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}},
    }
    path = PATHS["HorizontalPodAutoscaler"].format(world.namespace)
    _, scaler = world.plane.request("POST", path, scaler)

    with oracles.unchanged(*((each["kind"], each["metadata"]["name"]) for each in foreign)):
        world.create(world.server("theirs"))
        world.create(world.server("taken"))
        for name, child in (("theirs", "Deployment"), ("taken", "Service")):
            said = world.until_condition("MCPServer", name, "Programmed", "False", "NameConflict")
            assert f"{child} {world.namespace}/mcpserver-{name}" in said["message"]
        world.quiet()
        assert world.get("MCPServer", "theirs")["status"]["phase"] == "Failed"
    assert world.plane.request("GET", f"{path}/theirs")[1] == scaler

    world.delete("Deployment", "mcpserver-theirs")
    world.edit("MCPServer", "theirs", replicas=1)
    world.until_programmed("theirs")
    for kind, name in (("MCPServer", "theirs"), ("MCPServer", "taken"), ("Service", "mcpserver-taken")):
        world.delete(kind, name)


def test_a_rotated_secret_restarts_nothing_and_is_never_seen(world, oracles):
    """F40: the operator reads no Secret: nothing happens when one changes, and its value is nowhere (I5)."""
    world.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault"}, "stringData": {"key": CANARY}})
    source = {"secretKeyRef": {"name": "vault", "key": "key"}}
    world.create(world.server("keyed", container={"env": [{"name": "API_KEY", "valueFrom": source}]}))
    world.until_programmed("keyed")
    world.quiet(1)

    with oracles.unchanged(("MCPServer", "keyed"), ("Deployment", "mcpserver-keyed")):
        world.merge("Secret", "vault", {"stringData": {"key": f"{CANARY}-rotated"}})
        oracles.steady()
    oracles.nowhere(CANARY)


def test_two_hundred_looks_write_nothing(world, oracles):
    """F37: environment, labels and nested maps in any order: the manifest is the same, and nothing is written."""
    env = [{"name": f"VARIABLE_{number}", "value": str(number)} for number in (7, 3, 9, 1)]
    world.create(world.server("ordered", container={"env": env}, podSpec={"nodeSelector": {"b": "1", "a": "2"}}))
    world.until_programmed("ordered")
    world.quiet(1)
    world.operator.stop()
    world.operator.start(KAOS_RESYNC="0.1")
    document = world.get("MCPServer", "ordered")
    mark, before = world.plane.mark(), counted(world)

    with oracles.unchanged(("Deployment", "mcpserver-ordered")):
        turned = json.loads(json.dumps(document), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        assert world.plane.request("PUT", world.path("MCPServer", "ordered"), turned)[0] == 200
        world.until(lambda: counted(world) >= before + 200)
    assert world.writes(mark) == []
    world.operator.stop()
    world.operator.start(KAOS_RESYNC="600")


def test_an_idle_operator_asks_for_nothing(world):
    """F39: no read and no write but watches and the Lease (here for a few seconds; `soak` has the long one)."""
    import time

    world.quiet()
    mark = world.plane.mark()
    time.sleep(3)
    asked = world.plane.requests(mark, agent="kaos-operator", namespace=world.namespace)
    assert [r for r in asked if r.verb != "watch" and r.resource != "leases"] == []
