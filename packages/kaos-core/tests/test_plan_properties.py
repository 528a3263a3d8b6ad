"""What holds for every valid MCPServer and registry: the plan is pure, valid, restricted, and knows its own pods."""

from __future__ import annotations

import copy
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from kaos_core.manifests.pod_security import violations
from kaos_core.plan import plan
from kaos_core.plugin import Runtime, hookimpl
from kaos_core.registry import Registry
from kaos_core.resources.mcpserver import MCPServer
from kaos_core.settings import Gateway, Settings
from kaos_core.testing import builtin_plugins, server

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
NAME = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,90}[a-z0-9])?){0,2}", fullmatch=True)
LABEL = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
IMAGE = st.sampled_from(["a.example/a:1", "b.example:5000/x/y@sha256:" + "b" * 64, "busybox"])
PORT = st.integers(1, 65535)
PATH = st.sampled_from(["/mcp", "/", "/sse", "/a/b-c"])
REF = st.fixed_dictionaries({"name": LABEL, "key": st.just("key")}, optional={"optional": st.booleans()})
VALUE = st.fixed_dictionaries({"value": TEXT}) | st.builds(lambda ref: {"valueFrom": {"secretKeyRef": ref}}, REF)
ENV = st.dictionaries(st.sampled_from(["A", "B_1", "FOREIGN_X", "LOG_LEVEL"]), VALUE, max_size=3).map(
    lambda given: [{"name": name, **value} for name, value in given.items()]
)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "limits": st.fixed_dictionaries(
            {}, optional={"cpu": st.sampled_from([1, "2", "500m"]), "memory": st.just("1Gi")}
        ),
        "requests": st.fixed_dictionaries({}, optional={"cpu": st.just("100m"), "memory": st.just("64Mi")}),
    },
)
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "image": IMAGE,
        "imagePullPolicy": st.sampled_from(["Always", "IfNotPresent", "Never"]),
        "command": st.lists(st.text("ab{}", min_size=1, max_size=4), max_size=2),
        "args": st.lists(TEXT, max_size=3),
        "env": ENV,
        "envFrom": st.lists(st.builds(lambda name: {"secretRef": {"name": name}}, LABEL), max_size=1),
        "resources": RESOURCES,
    },
)
UID = st.integers(1, 2**31 - 1)
SPEC = st.fixed_dictionaries(
    {"runtime": st.sampled_from(["one", "two"])},
    optional={
        "params": TEXT,
        "replicas": st.integers(0, 1000),
        "container": CONTAINER,
        "serviceAccountName": LABEL,
        "podSpec": st.just({}) | st.just({"terminationGracePeriodSeconds": 5}),
        "telemetry": st.fixed_dictionaries({"enabled": st.booleans()}, optional={"endpoint": st.just("http://o:4317")}),
        "gatewayRoute": st.fixed_dictionaries({}, optional={"timeout": st.sampled_from(["0s", "1m30s", "500ms"])}),
        "transport": st.fixed_dictionaries(
            {}, optional={"port": PORT, "path": PATH, "sessionManagement": st.booleans()}
        ),
        "security": st.fixed_dictionaries(
            {}, optional={"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "readOnlyRootFilesystem": st.booleans()}
        ),
        "service": st.fixed_dictionaries(
            {}, optional={"type": st.sampled_from(["ClusterIP", "NodePort"]), "sessionAffinity": st.just("ClientIP")}
        ),
        "healthCheck": st.fixed_dictionaries({}, optional={"enabled": st.booleans(), "path": PATH, "port": PORT}),
        "validation": st.fixed_dictionaries({"enabled": st.booleans()}),
        "imagePullSecrets": st.lists(st.builds(lambda name: {"name": name}, LABEL), max_size=2),
    },
)
RUNTIME = st.fixed_dictionaries(
    {"type": st.sampled_from(["python", "nodejs", "go"]), "image": IMAGE},
    optional={
        "command": st.lists(st.text("ab", min_size=1), max_size=2).map(tuple),
        "args": st.lists(st.sampled_from(["--port", "{port}", "x"]), max_size=3).map(tuple),
        "params_file": st.booleans(),
        "port": PORT,
        "path": PATH,
        "health": st.none() | PATH,
        "ready": st.none() | PATH,
        "run_as_user": st.none() | st.integers(1, 70000),
        "read_only_root_filesystem": st.booleans(),
        "service_account_token": st.booleans(),
        "token_env": st.sampled_from(["", "AUTH_TOKEN"]),
    },
)
SETTINGS = st.sampled_from([Settings(), Settings(gateway=Gateway("g", "s", ("h.example",)), log_level="INFO")])


def registry_of(one: dict, two: dict):
    class Drawn:
        @hookimpl
        def kaos_runtimes(self):
            return [
                Runtime(name=name, params_env_var="PARAMS", **fields) for name, fields in (("one", one), ("two", two))
            ]

    plugins = builtin_plugins()
    plugins.register(Drawn(), "drawn")
    return Registry.build(plugins), plugins


@settings(max_examples=150)
@given(NAME, SPEC, RUNTIME, RUNTIME, SETTINGS)
def test_a_plan_is_pure_valid_restricted_and_selects_its_own_pods(assert_valid, name, spec, one, two, chosen):
    registry, plugins = registry_of(one, two)
    document = server(**spec)
    document["metadata"]["name"] = name
    before = copy.deepcopy(document)

    made = plan(document, registry, plugins, settings=chosen)
    assert document == before
    assert made == plan(copy.deepcopy(document), *registry_of(one, two), settings=chosen)
    assert made.errors == []

    for obj in made.objects:
        assert_valid(obj)
        assert obj["metadata"]["namespace"] == "default"
        assert obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kaos-operator"
        if obj["kind"] != "ConfigMap":
            assert DNS_LABEL.fullmatch(obj["metadata"]["name"])
    deployment, service = made.objects[-1], next(obj for obj in made.objects if obj["kind"] == "Service")
    template = deployment["spec"]["template"]
    assert violations(template["spec"], "restricted") == []
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert all(len(value) <= 63 for value in template["metadata"]["labels"].values())
    assert ("replicas" in deployment["spec"]) == ("replicas" in spec)
    assert "{port}" not in str(template["spec"]["containers"][0].get("args", [])) or "{port}" in str(spec)

    names = [entry["name"] for entry in template["spec"]["containers"][0].get("env", [])]
    assert len(names) == len(set(names))
    assert MCPServer.model_validate(document).document() == before


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "containers",
                        "name",
                        "securityContext",
                        "capabilities",
                        "add",
                        "volumes",
                        "hostPath",
                        "ports",
                        "env",
                    ]
                )
                | TEXT,
                x,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_podspec_is_planned_or_refused_with_a_reason(pod_spec):
    registry, plugins = registry_of({"type": "go", "image": "a/a:1"}, {"type": "go", "image": "a/a:1"})
    if not isinstance(pod_spec, dict):
        pod_spec = {"containers": pod_spec, "securityContext": pod_spec, "volumes": [{"name": "v", "x": pod_spec}]}
    made = plan(server("one", podSpec=pod_spec), registry, plugins)
    assert {problem.reason for problem in made.errors} <= {"InvalidPodSpec", "PodSecurityViolation"}
    assert bool(made.errors) == (made.objects == ())
