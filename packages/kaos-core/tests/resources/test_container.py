"""`spec.container`: images, environment, resources, arguments."""

from __future__ import annotations

import pytest

from kaos_core.errors import ResourceError
from kaos_core.resources.base import parse
from kaos_core.resources.container import amount
from kaos_core.resources.mcpserver import MCPServer
from kaos_core.testing import server


def accepted(**container) -> MCPServer:
    return parse(MCPServer, server("rawpython", container=container))


def problem(**container):
    with pytest.raises(ResourceError) as error:
        accepted(**container)
    return error.value.problems[0]


def test_a_prefix_makes_no_reserved_names():
    found = problem(envFrom=[{"prefix": "KAOS_", "secretRef": {"name": "api"}}])
    assert found.path == "spec.container.envFrom[0].prefix"
    assert "KAOS_ are reserved" in found.message
    accepted(envFrom=[{"prefix": "MY_KAOS_", "secretRef": {"name": "api"}}])


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "a b",
        "a/B:1",
        "registry.example/Repo",
        "Repo/image:1",
        ":tag",
        "http://registry.example/a",
        "a" * 300,
        "a:1\n",
        "-v",
        "a:",
        "a@sha256:" + "a" * 63,
        "a@md5:" + "a" * 32,
        "a:" + "t" * 129,
        "a//b",
    ],
)
def test_what_is_no_image_reference_is_refused(image):
    """B28, B29"""
    assert problem(image=image).path == "spec.container.image"


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "datadog/agent:latest",
        "myregistry/my-mcp:v1.0.0",
        "reg.example:5000/a/b@sha256:" + "a" * 64,
        "reg.example/a/b:1.2@sha256:" + "0" * 64,
        "localhost:5000/a__b/c-d:T_1.x",
    ],
)
def test_image_references_are_accepted(image):
    """B29"""
    assert accepted(image=image).spec.container.image == image


@pytest.mark.parametrize("name", ["A=B", "A B", "A\n", "", "1A", "Ä", None])
def test_what_is_no_variable_name_is_refused(name):
    """B24"""
    assert problem(env=[{"name": name, "value": "x"}]).path == "spec.container.env[0].name"


@pytest.mark.parametrize("name", ["KAOS_", "KAOS_GATEWAY_HOSTS", "KAOS_ANYTHING"])
def test_names_of_kaos_itself_are_reserved(name):
    """B23"""
    found = problem(env=[{"name": name, "value": "x"}])
    assert found.path == "spec.container.env[0].name"
    assert found.message == f"names that begin with KAOS_ are reserved, found {name}"


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "MCP_TOOLS_STRING", "MY_KAOS_", "a.b-c"])
def test_other_names_are_the_users_own(name):
    """B23, as the design has it: only KAOS_* is reserved."""
    assert accepted(env=[{"name": name, "value": "$(OTHER)"}])


def test_a_variable_stands_once():
    """B22"""
    found = problem(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    assert (found.path, found.message) == ("spec.container.env", "the name A stands twice")


def test_a_variable_has_one_value():
    reference = {"secretKeyRef": {"name": "a", "key": "b"}}
    assert (
        problem(env=[{"name": "A", "value": "1", "valueFrom": reference}]).message
        == "give value or valueFrom, not both"
    )
    both = {**reference, "fieldRef": {"fieldPath": "metadata.name"}}
    for source in ({}, both):
        assert problem(env=[{"name": "A", "valueFrom": source}]).message.startswith("give exactly one of secretKeyRef")
    assert accepted(env=[{"name": "A"}, {"name": "B", "valueFrom": reference}])


@pytest.mark.parametrize("path", ["spec.nodeName", "status.hostIP", "metadata.annotations"])
def test_fields_of_the_node_are_not_offered(path):
    assert problem(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]).path.endswith("fieldPath")


def test_a_value_is_text():
    assert problem(env=[{"name": "A", "value": 5}]).path == "spec.container.env[0].value"
    assert problem(env=[{"name": "A", "value": "\x00"}]).path == "spec.container.env[0].value"


def test_whole_objects_as_variables_have_one_source():
    assert accepted(
        envFrom=[{"secretRef": {"name": "a"}}, {"prefix": "B_", "configMapRef": {"name": "b", "optional": True}}]
    )
    assert problem(envFrom=[{"prefix": "B_"}]).message == "give exactly one of secretRef, configMapRef"


def test_arguments_are_bounded_text():
    """B31"""
    assert accepted(command=[], args=[]).spec.container.command == []
    assert "the first element is empty" in problem(command=[""]).message
    assert problem(args=["x"] * 10_000).path == "spec.container.args"
    assert problem(args=["a\x00"]).path == "spec.container.args[0]"
    assert problem(command="run").path == "spec.container.command"


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {"cpu": "abc"}},
        {"limits": {"memory": "-1"}},
        {"limits": {"memory": -1}},
        {"requests": {"memory": "1e30"}},
        {"requests": {"memory": True}},
        {"requests": {"memory": "1 Gi"}},
        {"limits": {"memory": "64Mi"}, "requests": {"memory": "1Gi"}},
        {"limits": {"cpu": "100m"}, "requests": {"cpu": 1}},
    ],
)
def test_quantities_are_real_and_requests_fit_limits(resources):
    """B32"""
    found = problem(resources=resources)
    assert found.reason == "InvalidResources"
    assert found.path.startswith("spec.container.resources")


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (1, 1.0),
        ("100m", 0.1),
        ("1k", 1e3),
        ("1Ki", 1024.0),
        ("128Mi", 128 * 1024.0**2),
        ("1G", 1e9),
        ("1E", 1e18),
        ("1Ei", 1024.0**6),
        ("1e3", 1e3),
        ("2E2", 200.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("", None),
        ("1K", None),
        ("9Ei", None),
        ("1e99", None),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(quantity, value):
    assert amount(quantity) == pytest.approx(value) if value is not None else amount(quantity) is None
