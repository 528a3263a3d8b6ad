"""CRDs and editor schemas from the models, so that YAML, code and documentation cannot differ.

A CRD's schema must be structural (Kubernetes, "Specifying a structural schema"): no references, no `null`, no
unions but integer-or-string.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kaos_core.kinds import Column, Kind
from kaos_core.manifests import names

Schema = dict[str, Any]

_KEPT = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "required",
    "minimum",
    "maximum",
    "items",
    "properties",
}
_KEPT |= {
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "nullable",
    "additionalProperties",
    "anyOf",
}
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_INT_OR_STRING: Schema = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
_OF_EITHER = ("description", "minimum", "maxLength", "pattern")
"""What may stand beside a union of integer and string."""


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    spec = structural(kind.load_model().model_fields["spec"].annotation)
    columns = []
    for column in (*kind.columns, _AGE):
        entry: Schema = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
        columns.append({**entry, "priority": column.priority} if column.priority else entry)
    description = (kind.load_model().__doc__ or "").strip()
    schema: Schema = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of the schema: {names.API_VERSION}."},
            "kind": {"type": "string", "description": f"Kind of the object: {kind.name}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural(kind.load_status_model()),
        },
    }
    version: Schema = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}", "labels": {"app.kubernetes.io/part-of": "kaos"}},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short_names),
                "categories": [names.CATEGORY],
            },
            "versions": [version],
        },
    }


def json_schema(kind: Kind) -> Schema:
    """The JSON schema of a kind's documents, for editors."""
    schema: Schema = kind.load_model().model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["apiVersion"] = {"const": names.API_VERSION, "description": "Version of the schema."}
    schema["properties"]["kind"] = {"const": kind.name, "description": "Kind of the object."}
    schema["properties"]["metadata"] = {
        "type": "object",
        "description": "Name, namespace, labels and annotations.",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
    }
    schema["properties"].pop("status", None)
    return schema


def structural(model: type[BaseModel]) -> Schema:
    """A pydantic model as a structural schema.

    Raises:
        ValueError: a field has a type that a CRD cannot say.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}), model.__name__)


def _structural(node: Schema, defs: dict[str, Schema], path: str) -> Schema:
    node = _inlined(node, defs, path)
    if node.get("x-kubernetes-int-or-string"):
        return node
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "exclusiveMinimum" in node or "exclusiveMaximum" in node:
        raise ValueError(f"{path}: an exclusive bound has another form in a CRD; use ge and le")
    extra = node.get("additionalProperties")
    if "properties" in node:
        node["properties"] = {
            name: _structural(value, defs, f"{path}.{name}") for name, value in node["properties"].items()
        }
        node.pop("additionalProperties", None)
    elif isinstance(extra, dict) and extra:
        node["additionalProperties"] = _structural(extra, defs, f"{path}[*]")
    elif node.get("type") == "object":
        node.pop("additionalProperties", None)
        node["x-kubernetes-preserve-unknown-fields"] = True
    if node.get("type") == "object" and "maxLength" in node:
        node["maxProperties"] = node.pop("maxLength")
    if node.get("type") == "array":
        if "items" not in node:
            raise ValueError(f"{path}: an array needs the type of its items")
        items = node["items"]
        node["items"] = (
            items if "x-kubernetes-preserve-unknown-fields" in items else _structural(items, defs, f"{path}[]")
        )
    if "type" not in node:
        raise ValueError(f"{path}: no type")
    kept = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if kept.get("default", 0) is None or kept.get("default") in ([], {}):
        kept.pop("default")  # a default that says nothing would be stored in every object
    return kept


def _inlined(node: Schema, defs: dict[str, Schema], path: str) -> Schema:
    """References and optional unions resolved; what stands beside them wins."""
    node = dict(node)
    if "$ref" in node:
        target = defs[node.pop("$ref").rpartition("/")[2]]
        return _inlined({**target, **node}, defs, path)
    if "anyOf" in node:
        alternatives = [alternative for alternative in node.pop("anyOf") if alternative.get("type") != "null"]
        if len(alternatives) == 1:
            return _inlined({**alternatives[0], **node}, defs, path)
        if sorted(alternative.get("type", "") for alternative in alternatives) == ["integer", "string"]:
            return {**_INT_OR_STRING, **{key: node[key] for key in _OF_EITHER if key in node}}
        raise ValueError(f"{path}: a union that a CRD cannot say")
    return node
