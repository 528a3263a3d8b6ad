"""What an MCPServer may say; every refusal names its field and what to do."""

from __future__ import annotations

import pytest

from kaos_core.errors import ResourceError
from kaos_core.resources.base import parse
from kaos_core.resources.mcpserver import MCPServer
from kaos_core.testing import server


def refused(document) -> ResourceError:
    with pytest.raises(ResourceError) as error:
        parse(MCPServer, document)
    return error.value


def accepted(**spec) -> MCPServer:
    return parse(MCPServer, server(**{"runtime": "rawpython", **spec}))


def test_a_document_comes_back_as_it_was():
    document = server("rawpython", params="x", replicas=2, container={"env": [{"name": "A", "value": "1"}]})
    assert parse(MCPServer, document).document() == document


def test_no_runtime_is_refused():
    """B1"""
    document = server("x")
    del document["spec"]["runtime"]
    assert str(refused(document)) == "MCPServer check: spec.runtime: is required"


@pytest.mark.parametrize("runtime", ["", "../x", "a" * 64, "RawPython", "-a", "a-", "a_b", "a.b", "a b", 5, None])
def test_a_runtime_that_is_no_name_is_refused(runtime):
    """B2, B3, B4"""
    (problem,) = refused(server(runtime)).problems
    assert problem.path == "spec.runtime"
    assert problem.hint == "`kaos system runtimes` lists the runtimes"


def test_custom_needs_an_image():
    """B5"""
    assert "custom runtime requires container.image" in str(refused(server("custom")))
    assert "custom runtime requires container.image" in str(refused(server("custom", container={"command": ["a"]})))
    assert accepted(runtime="custom", container={"image": "a/b:1"})


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({"tools": ["a"]}, "spec.tools", "was removed: tools are discovered from the server itself"),
        ({"config": {"env": []}}, "spec.config.env", "was removed: use spec.container.env"),
        ({"config": {}}, "spec.config", "was removed: telemetry is spec.telemetry, env is spec.container.env"),
        ({"config": {"tools": {"fromString": "x"}}}, "spec.config.tools.fromString", "with spec.params"),
        ({"type": "python-runtime"}, "spec.type", "was removed: say spec.runtime"),
        ({"image": "a/b:1"}, "spec.image", "use spec.container.image"),
    ],
)
def test_a_removed_field_names_its_replacement(spec, path, says):
    """B10"""
    error = refused(server("rawpython", **spec))
    assert error.problems[0].path == path
    assert says in str(error)


@pytest.mark.parametrize(
    ("spec", "path", "hint"),
    [
        ({"parms": "x"}, "spec.parms", "did you mean params?"),
        (
            {"container": {"imagePullPolice": "Always"}},
            "spec.container.imagePullPolice",
            "did you mean imagePullPolicy?",
        ),
        ({"zzz": 1}, "spec.zzz", "known fields: auth, container, "),
        ({"container": {"env": [{"name": "A", "vlaue": "x"}]}}, "spec.container.env[0].vlaue", "did you mean value?"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(spec, path, hint):
    """B10"""
    (problem,) = refused(server("rawpython", **spec)).problems
    assert (problem.path, problem.message) == (path, "unknown field")
    assert problem.hint.startswith(hint)


def test_everything_wrong_is_listed():
    error = refused(server("Bad", replicas=-1, container={"image": " "}))
    assert {problem.path for problem in error.problems} == {"spec.runtime", "spec.replicas", "spec.container.image"}
    assert "(and 2 more)" in str(error)


def test_params_beyond_what_a_program_can_start_with_are_refused():
    """B11"""
    (problem,) = refused(server("rawpython", params="x" * 300 * 1024)).problems
    assert problem.message == "has 307,200 characters; the limit is 114,688"
    assert "spec.paramsFrom.configMapKeyRef" in problem.hint
    assert accepted(params="x" * 114_688)


def test_params_with_nul_are_refused():
    """B12"""
    assert refused(server("rawpython", params="a\x00b")).problems[0].path == "spec.params"
    assert accepted(params="a\r\nb").spec.params == "a\r\nb"


def test_params_come_from_one_place():
    key = {"configMapKeyRef": {"name": "code", "key": "tools.py"}}
    assert accepted(paramsFrom=key)
    assert "give params or paramsFrom, not both" in str(refused(server("rawpython", params="x", paramsFrom=key)))
    both = {**key, "secretKeyRef": {"name": "a", "key": "b"}}
    for source in ({}, both):
        assert "give exactly one of secretKeyRef, configMapKeyRef" in str(
            refused(server("rawpython", paramsFrom=source))
        )


@pytest.mark.parametrize("replicas", [-1, 10**9, "3", 1.5, True])
def test_replicas_are_a_small_whole_number(replicas):
    """B42"""
    assert refused(server("rawpython", replicas=replicas)).problems[0].path == "spec.replicas"
    assert accepted(replicas=0).spec.replicas == 0


@pytest.mark.parametrize("timeout", ["0", "-1s", "1h1h", "9999999h", "abc", "", "1 s", "1.5s", 30])
def test_a_timeout_is_a_gateway_duration(timeout):
    """B41"""
    (problem,) = refused(server("rawpython", gatewayRoute={"timeout": timeout})).problems
    assert problem.path == "spec.gatewayRoute.timeout"


@pytest.mark.parametrize("timeout", ["0s", "60s", "1m30s", "500ms", "1h"])
def test_gateway_durations_are_accepted(timeout):
    """B41"""
    assert accepted(gatewayRoute={"timeout": timeout})


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://169.254.169.254",
        "http://169.254.169.254:4317/v1",
        "http://a:b@h",
        "http://h\r\nX: y",
        "http://h\n",
        "http://" + "a" * 2048,
        "http://\u043etel:4317",
        "otel:4317",
        "",
    ],
)
def test_a_telemetry_endpoint_is_a_plain_url(endpoint):
    """B40"""
    (problem,) = refused(server("rawpython", telemetry={"enabled": True, "endpoint": endpoint})).problems
    assert problem.path == "spec.telemetry.endpoint"


@pytest.mark.parametrize("endpoint", ["http://otel-collector:4317", "https://o.example/v1/traces", "grpc://o:4317"])
def test_plain_endpoints_are_accepted(endpoint):
    """B40"""
    assert accepted(telemetry={"enabled": True, "endpoint": endpoint})


def test_headers_have_one_value_each():
    assert accepted(
        headers=[
            {"name": "X-A", "value": "1"},
            {"name": "X-B", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        ]
    )
    assert "give exactly one of value, valueFrom" in str(refused(server("rawpython", headers=[{"name": "X-A"}])))
    assert refused(server("rawpython", headers=[{"name": "X-A", "value": "a\r\nX-B: b"}])).problems


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        ([{}], "a volume needs a name"),
        ([{"name": "a"}, {"name": "a"}], "the name a stands twice"),
        (["x"], "dictionary"),
    ],
)
def test_volumes_have_names_of_their_own(volumes, says):
    assert says in str(refused(server("rawpython", volumes=volumes)))


@pytest.mark.parametrize("name", ["", "A", "a b", "a;b", "-a", "a" * 254, "../a", 5])
def test_a_name_is_a_kubernetes_name(name):
    document = server("rawpython")
    document["metadata"]["name"] = name
    assert refused(document).problems[0].path == "metadata.name"


def test_what_the_api_server_adds_is_passed_over():
    document = server("rawpython")
    document["metadata"] |= {
        "uid": "1",
        "generation": 3,
        "resourceVersion": "7",
        "managedFields": [{}],
        "labels": {"a": "b"},
    }
    made = parse(MCPServer, {**document, "status": {"phase": "Ready"}})
    assert (made.metadata.uid, made.metadata.generation, made.metadata.labels) == ("1", 3, {"a": "b"})


@pytest.mark.parametrize("document", [{}, {"metadata": 5}, {"spec": []}, {"metadata": {"name": "a"}, "spec": {}}])
def test_any_mapping_is_refused_with_problems(document):
    assert refused(document).problems


def test_a_long_value_is_not_repeated_whole():
    assert "s" * 61 not in str(refused(server("s" * 200)))
