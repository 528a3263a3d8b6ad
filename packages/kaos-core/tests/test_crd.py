"""CRDs are structural, described to the last field, and say what the models say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from pydantic import BaseModel, Field

from kaos_core.crd import crd, json_schema, structural
from kaos_core.kinds import agent, mcpserver, modelapi
from kaos_core.testing import server

KINDS = [mcpserver.KIND, agent.KIND, modelapi.KIND]
ids = {"ids": lambda kind: kind.name}


def schema_of(kind) -> dict[str, Any]:
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema with its path; `[]` and `[*]` are items of lists and maps."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from fields(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "[*]")):
        if isinstance(node.get(key), dict):
            yield from fields(node[key], path + mark)


@pytest.mark.parametrize("kind", KINDS, **ids)
def test_every_field_has_a_description(kind):
    silent = [
        path
        for path, node in fields(schema_of(kind))
        if not path.endswith(("[]", "[*]")) and path != ".metadata" and not node.get("description", "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("kind", KINDS, **ids)
def test_schemas_are_structural(kind):
    for path, node in fields(schema_of(kind)):
        assert not {"$ref", "oneOf", "allOf", "not", "const", "title", "exclusiveMinimum"} & node.keys(), path
        if node.get("x-kubernetes-int-or-string"):
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        else:
            assert "anyOf" not in node, path
            assert isinstance(node["type"], str), path
        if node["type" if "type" in node else "anyOf"] == "object":
            inside = {"properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"} & node.keys()
            assert inside or path == ".metadata", path
            assert not {"properties", "additionalProperties"} <= node.keys(), path


@pytest.mark.parametrize("kind", KINDS, **ids)
def test_a_crd_is_a_valid_object(kind, assert_valid):
    assert_valid(crd(kind))
    assert yaml.safe_load(yaml.safe_dump(crd(kind))) == crd(kind)


@pytest.mark.parametrize("kind", KINDS, **ids)
def test_every_text_of_a_pattern_is_one_the_api_server_can_read(kind):
    """RE2 has no look-around and no back-references."""
    for path, node in fields(schema_of(kind)):
        assert not any(part in node.get("pattern", "") for part in ("(?=", "(?!", "(?<", "\\1")), path


def test_rules_that_no_schema_can_say_are_cel():
    rules = {
        rule["message"] for _, node in fields(schema_of(KINDS[0])) for rule in node.get("x-kubernetes-validations", [])
    }
    assert rules == {
        "custom runtime requires container.image",
        "give params or paramsFrom, not both",
        "is longer than 114688 characters; put it into a ConfigMap and name that in spec.paramsFrom.configMapKeyRef",
        "link-local addresses are not allowed",
        "names that begin with KAOS_ are reserved",
        "give value or valueFrom, not both",
        "give exactly one of secretKeyRef, configMapKeyRef, fieldRef",
        "give exactly one of secretKeyRef, configMapKeyRef",
        "give exactly one of secretRef, configMapRef",
        "give exactly one of value, valueFrom",
        "the first element is empty; leave command out to use the image's own",
        "a quantity is less than 2^63",
        "a request is more than its limit",
    }
    hosted = {rule["message"] for rule in schema_of(KINDS[2])["properties"]["spec"]["x-kubernetes-validations"]}
    assert hosted == {"give mode: Proxy or Hosted", "mode Hosted needs hostedConfig.model"}


def test_names_and_columns_are_the_designs():
    spec = crd(mcpserver.KIND)["spec"]
    assert spec["names"]["shortNames"] == ["mcp", "mcps"]
    assert spec["names"]["categories"] == ["kaos"]
    columns = spec["versions"][0]["additionalPrinterColumns"]
    wide = [column["name"] for column in columns if column.get("priority")]
    assert [column["name"] for column in columns if not column.get("priority")] == [
        "Runtime",
        "Phase",
        "Ready",
        "Reason",
        "URL",
        "Age",
    ]
    assert wide == ["Replicas", "Protocol", "Auth", "Compliant", "Capabilities", "Tools"]
    assert [crd(kind)["spec"]["names"]["shortNames"] for kind in KINDS[1:]] == [["kag"], ["mapi"]]
    for kind in KINDS:
        (version,) = crd(kind)["spec"]["versions"]
        assert (version["name"], version["subresources"]) == ("v1alpha1", {"status": {}})
        assert crd(kind)["metadata"]["name"] == f"{kind.plural}.kaos.tools"


def test_lists_that_merge_by_name_say_so():
    """B22"""
    env = dict(fields(schema_of(KINDS[0])))[".spec.container.env"]
    assert (env["x-kubernetes-list-type"], env["x-kubernetes-list-map-keys"]) == ("map", ["name"])


@pytest.mark.parametrize(
    "spec",
    [
        {"runtime": ""},
        {"runtime": "../x"},
        {"runtime": "a", "params": "x" * 1_048_577},
        {"runtime": "a", "replicas": -1},
        {"runtime": "a", "replicas": "3"},
        {"runtime": "a", "container": {"image": "a b"}},
        {"runtime": "a", "container": {"env": [{"name": "A=B"}]}},
        {"runtime": "a", "gatewayRoute": {"timeout": "0"}},
        {"runtime": "a", "telemetry": {"endpoint": "file:///etc/passwd"}},
        {"runtime": "a", "volumes": [{}]},
        {},
    ],
)
def test_the_api_server_refuses_what_the_models_refuse(spec):
    """B1, B2, B3, B11, B24, B28, B40, B41, B42"""
    with pytest.raises(ValidationError):
        Draft202012Validator(schema_of(KINDS[0])).validate({**server("x"), "spec": spec})


def test_an_empty_podspec_is_accepted():
    """B33: the upstream schema, made from PodSpec, demands containers."""
    Draft202012Validator(schema_of(KINDS[0])).validate(server("a", podSpec={}))


@pytest.mark.parametrize("kind", KINDS, **ids)
def test_editors_get_a_schema_of_the_same_models(kind):
    schema = json_schema(kind)
    json.dumps(schema)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["kind"]["const"] == kind.name
    assert "status" not in schema["properties"]
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate(
            {"apiVersion": "v1", "kind": kind.name, "metadata": {"name": "a"}, "spec": {}}
        )


class Union(BaseModel):
    field: dict[str, str] | list[str]


class Bound(BaseModel):
    field: int = Field(gt=3)


class Bare(BaseModel):
    field: list


class Anything(BaseModel):
    field: Any


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Union, r"Union\.field: a union that a CRD cannot say"),
        (Bound, r"Bound\.field: an exclusive bound"),
        (Bare, r"Bare\.field"),
        (Anything, r"Anything\.field: no type"),
    ],
)
def test_a_type_that_a_crd_cannot_say_is_refused_with_its_field(model, says):
    with pytest.raises(ValueError, match=says):
        structural(model)
