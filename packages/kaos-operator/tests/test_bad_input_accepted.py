"""Bad input that the API server lets through: B6–B45 of the catalogue. The operator says what is wrong, or it works."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import pytest
import yaml

SECRET = "xoxb-0123456789-abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
MAIN = "mcp-server"


@pytest.fixture(scope="module", autouse=True)
def runtimes(world):
    """Two runtimes: one that needs variables, and one that speaks stdio."""
    entries = {
        "needy": {"type": "nodejs", "image": "registry.example/needy:1", "requiredEnv": ["BOT_TOKEN", "TEAM_ID"]},
        "piped": {"type": "python", "image": "registry.example/piped:1", "transport": "stdio"},
    }
    metadata = {"name": "bad-input", "labels": {"kaos.tools/runtime-registry": "true"}}
    data = {"runtimes.yaml": yaml.safe_dump({"runtimes": entries})}
    world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


@pytest.fixture
def refused(world):
    """Create a server that cannot be: the condition's message. Nothing is made of it, and one event tells it."""
    made = []

    def create(condition, reason, **spec):
        name = f"bad-{secrets.token_hex(4)}"
        made.append(name)
        world.create(world.server(name, **spec))
        found = world.until_condition("MCPServer", name, condition, "False", reason)
        status = world.get("MCPServer", name)["status"]
        assert (status["phase"], status["ready"]) == ("Failed", False)
        assert world.condition("MCPServer", name, "Ready")["reason"] == reason
        assert [world.get(kind, f"mcpserver-{name}") for kind in ("Deployment", "Service")] == [None, None]
        told = world.until(lambda: events(world, name))
        assert [event["reason"] for event in told] == [reason]
        return found["message"]

    yield create
    for name in made:
        world.delete("MCPServer", name)


def events(world, name):
    return [event for event in world.list("Event") if event["involvedObject"]["name"] == name]


def template(world, name, kind="Deployment"):
    """The pod that was planned for a server."""
    return world.get(kind, name)["spec"]["template"]["spec"]


def programmed(world, name, **spec):
    """Create a server that can be: its pod."""
    world.create(world.server(name, **spec))
    world.until_programmed(name)
    return template(world, f"mcpserver-{name}")


def main(pod):
    return next(container for container in pod["containers"] if container["name"] == MAIN)


# Runtime and params.


def test_b6_an_unknown_runtime(refused):
    """B6"""
    message = refused("Accepted", "UnknownRuntime", runtime="nothing-like-it")
    assert "unknown runtime: nothing-like-it (available: [" in message


def test_b7_a_runtime_that_speaks_stdio_without_an_adapter(refused):
    """B7"""
    assert "piped speaks stdio" in refused("Accepted", "UnsupportedTransport", runtime="piped", params=None)


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ([], "BOT_TOKEN, TEAM_ID"),
        ([{"name": "BOT_TOKEN", "value": "x"}], "TEAM_ID"),
        ([{"name": "BOT_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}], "TEAM_ID"),
    ],
)
def test_b8_a_required_variable_that_is_missing(refused, env, missing):
    """B8"""
    message = refused("ResolvedRefs", "MissingRequiredEnv", runtime="needy", params=None, container={"env": env})
    assert f"needs {missing} in container.env" in message


def test_b9_a_required_variable_that_is_empty(refused):
    """B9"""
    env = [{"name": "BOT_TOKEN", "value": ""}, {"name": "TEAM_ID", "value": "x"}]
    message = refused("ResolvedRefs", "MissingRequiredEnv", runtime="needy", params=None, container={"env": env})
    assert "needs BOT_TOKEN in container.env" in message


def test_b13_a_billion_laughs_cost_no_memory(world, refused):
    """B13"""
    before = resident(world)
    assert "values with its aliases expanded" in refused("Accepted", "InvalidParams", params=BOMB)
    assert resident(world) - before < 10 << 20


def resident(world) -> int:
    """Bytes of memory that the operator has in use."""
    lines = Path(f"/proc/{world.operator.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) << 10


def test_b14_yaml_that_is_a_program_is_not_run(refused, tmp_path):
    """B14"""
    trace = tmp_path / "ran"
    message = refused("Accepted", "InvalidParams", params=f"!!python/object/apply:os.system ['touch {trace}']")
    assert "the tag" in message
    assert not trace.exists()


@pytest.mark.parametrize("params", ["- a\n- b", "5", "null", "yes", "true", "~", "1.5"])
def test_b16_params_that_are_neither_code_nor_a_mapping(refused, params):
    """B16"""
    refused("Accepted", "InvalidParams", params=params)


def test_b18_params_with_a_key_that_is_not_known(refused):
    """B18"""
    params = "code: |\n  def f() -> int:\n    return 1\ncoed: x\n"
    assert "coed" in refused("Accepted", "InvalidParams", params=params)


# Names.


def test_b19_long_names_have_short_children_that_do_not_meet(world):
    """B19"""
    names = [
        "n" * 50 + "-63" + "x" * 10,
        "n" * 50 + "-64" + "x" * 11,
        "n" * 50 + "-253" + "x" * 199,
        "n" * 50 + "-253" + "y" * 199,
    ]
    assert [len(name) for name in names] == [63, 64, 253, 253]
    before = {kind: children(world, kind) for kind in ("Deployment", "Service")}
    for name in names:
        world.create(world.server(name))
    for name in names:
        world.until_programmed(name)
    for kind, others in before.items():
        made = children(world, kind) - others
        assert len(made) == len(names)
        assert all(len(child) <= 63 for child in made)
    for name in names:
        world.delete("MCPServer", name)


def children(world, kind):
    return {obj["metadata"]["name"] for obj in world.list(kind)}


@pytest.mark.parametrize("name", ["1a", "a.b.c", "1.2", "9"])
def test_b20_names_that_no_service_may_have(world, name):
    """B20"""
    world.create(world.server(name))
    resource = world.until_programmed(name)
    host = resource["status"]["endpoint"].removeprefix("http://").partition(".")[0]
    assert world.get("Service", host)["metadata"]["ownerReferences"][0]["name"] == name
    world.delete("MCPServer", name)


@pytest.mark.parametrize("name", ["default", "kubernetes", "kube-root-ca.crt", "bad-input"])
def test_b21_names_that_others_have_adopt_nothing(world, name):
    """B21"""
    metadata = {"name": "kube-root-ca.crt", "labels": {"app.kubernetes.io/managed-by": "kaos-operator"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    world.plane.request("POST", world.path("ConfigMap"), body)
    others = [("ServiceAccount", "default"), ("ConfigMap", "bad-input"), ("ConfigMap", "kube-root-ca.crt")]
    before = [world.get(*other) for other in others]
    assert None not in before

    world.create(world.server(name))
    world.until_programmed(name)

    assert [world.get(*other) for other in others] == before
    world.delete("MCPServer", name)


@pytest.mark.parametrize("kind", ["Service", "Deployment"])
def test_b21_a_child_s_name_that_is_taken_is_a_conflict(world, kind):
    """B21, F35"""
    name = f"taken-{kind.lower()}"
    labels = {"app": "theirs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {
        "Service": {"ports": [{"port": 1}]},
        "Deployment": {"selector": {"matchLabels": labels}, "template": pod},
    }[kind]
    version = "apps/v1" if kind == "Deployment" else "v1"
    theirs = {"apiVersion": version, "kind": kind, "metadata": {"name": f"mcpserver-{name}"}, "spec": spec}
    before = world.create(theirs)

    world.create(world.server(name))
    found = world.until_condition("MCPServer", name, "Programmed", "False", "NameConflict")

    assert f"mcpserver-{name} is there already" in found["message"]
    assert world.get(kind, f"mcpserver-{name}") == before
    world.delete("MCPServer", name)


# Environment and image.


@pytest.mark.parametrize("given", ["params", "paramsFrom"])
def test_b23_the_runtime_s_own_variable_beside_params(refused, world, given):
    """B23, as the design rules it."""
    spec = {"params": world.ADD} if given == "params" else {"paramsFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
    env = [{"name": "MCP_TOOLS_STRING", "value": "x"}]
    message = refused("Accepted", "InvalidParams", **spec, container={"env": env})
    assert f"container.env sets MCP_TOOLS_STRING, and so does spec.{given}" in message


def test_b25_references_between_variables_are_passed_on_as_they_are(world):
    """B25"""
    source = {"secretKeyRef": {"name": "a", "key": "b"}}
    env = [{"name": "OTHER", "valueFrom": source}, {"name": "URL", "value": "http://$(OTHER)@host/$$(X)"}]
    made = {entry["name"]: entry for entry in main(programmed(world, "references", container={"env": env}))["env"]}
    assert made["URL"] == env[1]
    assert made["OTHER"] == env[0]


def test_b26_a_secret_in_plain_text_is_told_without_its_value(world):
    """B26"""
    programmed(world, "plain", container={"env": [{"name": "SLACK", "value": SECRET}]})
    (event,) = world.until(lambda: events(world, "plain"))
    assert (event["type"], event["reason"]) == ("Warning", "PlaintextSecret")
    assert "SLACK" in event["message"]
    assert SECRET not in event["message"]
    assert SECRET not in str(world.get("MCPServer", "plain")["status"])
    assert SECRET not in str(world.operator.lines())


def test_b29_a_tag_that_moves_is_told(world):
    """B29"""
    image = "reg.example:5000/a/b@sha256:" + "a" * 64
    assert main(programmed(world, "pinned", container={"image": image}))["image"] == image
    programmed(world, "moving", container={"image": "reg.example/a:latest"})
    (event,) = world.until(lambda: events(world, "moving"))
    assert (event["type"], event["reason"]) == ("Warning", "MutableTag")
    assert events(world, "pinned") == []


@pytest.mark.parametrize("name", ["my.config", "a" * 100, "1.2.3"])
def test_b30_names_of_configmaps_and_secrets_that_no_volume_may_have(world, name):
    """B30"""
    for number, source in enumerate(("configMapKeyRef", "secretKeyRef")):
        server = f"refs-{len(name)}-{number}"
        env = [{"name": "A", "valueFrom": {source: {"name": name, "key": "k"}}}]
        volumes = [{"name": "one", "configMap": {"name": name}}, {"name": "two", "secret": {"secretName": name}}]
        mounts = [{"name": "one", "mountPath": "/one"}, {"name": "two", "mountPath": "/two"}]
        pod = programmed(
            world,
            server,
            params=None,
            paramsFrom={source: {"name": name, "key": "k"}},
            volumes=volumes,
            container={"env": env, "volumeMounts": mounts},
        )
        assert [volume["name"] for volume in pod["volumes"]][:2] == ["one", "two"]


def test_b31_an_empty_command_is_the_image_s_own(world):
    """B31"""
    assert "command" not in main(programmed(world, "no-command", container={"command": [], "image": "a/b:1"}))


def test_b32_requests_without_limits_are_kept_as_they_are(world):
    """B32: what cannot be is refused by the API server: test_bad_input_refused.py"""
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}
    assert main(programmed(world, "some-resources", container={"resources": resources}))["resources"] == resources


# podSpec.


def test_b33_an_empty_podspec_changes_nothing(world):
    """B33"""
    plain, empty = programmed(world, "without-it"), programmed(world, "with-empty", podSpec={})
    assert str(plain).replace("without-it", "NAME") == str(empty).replace("with-empty", "NAME")


@pytest.mark.parametrize(
    "pod_spec",
    [
        {"containers": "x"},
        {"containers": {"name": MAIN}},
        {"containers": [1]},
        {"containers": [{"image": "a"}]},
        {"containers": [{"name": MAIN, "env": {"A": "1"}}]},
        {"containers": [{"name": MAIN, "securityContext": "x"}]},
        {"containers": [{"name": MAIN, "ports": 80}]},
        {"volumes": {"name": "a"}},
        {"securityContext": ["x"]},
        {"securityContext": {"seccompProfile": "RuntimeDefault"}},
        {"$patch": "nonsense"},
    ],
)
def test_b34_a_podspec_that_does_not_merge(refused, pod_spec):
    """B34"""
    assert "spec.podSpec" in refused("Accepted", "InvalidPodSpec", podSpec=pod_spec)


def security(**context):
    return {"containers": [{"name": MAIN, "securityContext": context}]}


@pytest.mark.parametrize(
    ("spec", "ids"),
    [
        ({"podSpec": {"hostNetwork": True}}, ["hostNamespaces"]),
        ({"podSpec": {"hostPID": True, "hostIPC": True}}, ["hostNamespaces"]),
        ({"podSpec": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}}, ["hostPathVolumes"]),
        ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, ["hostPathVolumes"]),
        ({"podSpec": {"volumes": [{"name": "a", "nfs": {"server": "a", "path": "/"}}]}}, ["restrictedVolumes"]),
        ({"podSpec": security(privileged=True)}, ["privileged", "allowPrivilegeEscalation"]),
        ({"podSpec": security(runAsUser=0)}, ["runAsUser"]),
        ({"podSpec": {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}}, ["runAsUser", "runAsNonRoot"]),
        ({"security": {"runAsUser": 0}}, ["runAsUser"]),
        ({"podSpec": security(capabilities={"add": ["SYS_ADMIN"]})}, ["capabilities"]),
        ({"podSpec": security(capabilities={"add": ["CHOWN"], "drop": ["ALL"]})}, ["capabilities"]),
        ({"podSpec": security(procMount="Unmasked")}, ["procMount"]),
        ({"podSpec": security(seccompProfile={"type": "Unconfined"})}, ["seccompProfile"]),
        (
            {"podSpec": {"containers": [{"name": "b", "image": "b", "ports": [{"containerPort": 1, "hostPort": 1}]}]}},
            ["hostPorts"],
        ),
        (
            {"podSpec": {"initContainers": [{"name": "b", "image": "b", "securityContext": {"runAsUser": 0}}]}},
            ["runAsUser"],
        ),
    ],
)
def test_b35_a_pod_beyond_what_the_namespace_allows_without_the_policy(refused, spec, ids):
    """B35. With the policy: test_admission.py"""
    message = refused("Accepted", "PodSecurityViolation", **spec)
    assert "not allowed at level restricted: " in message
    for control in ids:
        assert control in message
    assert "kaos.tools/pod-security=" in message


@pytest.mark.parametrize(
    "pod_spec",
    [
        {"ephemeralContainers": [{"name": "a", "image": "a"}]},
        {"containers": [{"name": MAIN, "$patch": "delete"}]},
        {"containers": [{"$patch": "replace"}, {"name": "other", "image": "a"}]},
        {"containers": None, "$patch": "replace"},
        {"$patch": "delete"},
    ],
)
def test_b36_the_main_container_cannot_be_taken_away(refused, pod_spec):
    """B36"""
    refused("Accepted", "InvalidPodSpec", podSpec=pod_spec)


def test_b36_podspec_has_the_last_word_on_the_image(world):
    """B36, as the design rules it."""
    pod_spec = {"containers": [{"name": MAIN, "image": "mine/it:1"}]}
    assert main(programmed(world, "last-word", podSpec=pod_spec))["image"] == "mine/it:1"


@pytest.mark.parametrize(
    "pod_spec",
    [
        {"metadata": {"labels": {"mcpserver": "other"}}},
        {"template": {"metadata": {"labels": {"mcpserver": "other"}}}},
        {"spec": {"hostNetwork": True}},
    ],
)
def test_b37_podspec_is_no_way_to_our_labels(refused, pod_spec):
    """B37"""
    assert "is no field of a PodSpec" in refused("Accepted", "InvalidPodSpec", podSpec=pod_spec)


def test_b37_labels_of_the_resource_are_not_those_of_its_pods(world):
    """B37"""
    made = world.server("labelled")
    labels = {"mcpserver": "other", "app.kubernetes.io/managed-by": "me", "pod-template-hash": "x"}
    world.create({**made, "metadata": {**made["metadata"], "labels": labels}})
    world.until_programmed("labelled")
    deployment = world.get("Deployment", "mcpserver-labelled")
    wanted = {"mcpserver": "labelled", "app.kubernetes.io/managed-by": "kaos-operator"}
    assert deployment["spec"]["selector"]["matchLabels"] == wanted
    assert wanted.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert "pod-template-hash" not in deployment["spec"]["template"]["metadata"]["labels"]


# Replicas, many at once, other kinds.


def test_b42_no_replicas_is_no_failure(world):
    """B42"""
    handshakes = sum(value for name, value in world.operator.metrics().items() if "handshake" in name)
    programmed(world, "none", replicas=0)
    found = world.until_condition("MCPServer", "none", "Ready", "False", "ScaledToZero")
    assert found
    assert world.get("MCPServer", "none")["status"]["phase"] == "Pending"
    assert world.get("Deployment", "mcpserver-none")["spec"]["replicas"] == 0
    assert sum(value for name, value in world.operator.metrics().items() if "handshake" in name) == handshakes


def test_b43_two_hundred_at_once_with_generated_names(world):
    """B43"""
    made, lock = [], threading.Lock()

    def create(count):
        for _ in range(count):
            document = world.server("")
            document["metadata"] = {"generateName": "many-", "labels": {"b43": "yes"}}
            name = world.create(document)["metadata"]["name"]
            with lock:
                made.append(name)

    threads = [threading.Thread(target=create, args=(25,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 200

    def converged():
        listed = [item for item in world.list("MCPServer") if item["metadata"].get("labels", {}).get("b43")]
        done = [
            condition
            for item in listed
            for condition in item.get("status", {}).get("conditions", [])
            if (condition["type"], condition["status"]) == ("Programmed", "True")
        ]
        return len(done) == 200

    world.until(converged, 90)
    wanted = {f"mcpserver-{name}" for name in made}
    for kind in ("Deployment", "Service"):
        there = {obj["metadata"]["name"]: obj for obj in world.list(kind)}
        assert wanted <= there.keys()
        assert {there[name]["metadata"]["ownerReferences"][0]["name"] for name in wanted} == set(made)


def test_b44_a_hosted_model_is_an_element_of_argv(world):
    """B44"""
    model = "hf.example/a/b:Q4_K_M"
    world.create(world.server("hosted", kind="ModelAPI", mode="Hosted", hostedConfig={"model": model}))
    world.until_programmed("hosted", "ModelAPI")
    (pull,) = template(world, "modelapi-hosted")["initContainers"]
    assert pull["command"][:2] == ["/bin/sh", "-c"]
    assert pull["command"][-1] == model
    assert not any(model in part for part in pull["command"][:-1])


def test_b45_the_proxy_s_configuration_is_written_by_a_serializer(world):
    """B45: names that mean something else in YAML come back as they were."""
    models = ["yes", "1e3", "*", "a:b", "0x1F", "no/*", "123"]
    world.create(world.server("proxied", kind="ModelAPI", mode="Proxy", proxyConfig={"models": models}))
    world.until_programmed("proxied", "ModelAPI")
    (config_map,) = [obj for obj in world.list("ConfigMap") if obj["metadata"]["name"].startswith("modelapi-proxied")]
    (text,) = config_map["data"].values()
    assert [entry["model_name"] for entry in yaml.safe_load(text)["model_list"]] == models
