"""A tool's JSON schemas as one line of Python: `add(a: int, b: int) -> int`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

WRAP = "x-fastmcp-wrap-result"
"""FastMCP's mark on an output schema whose `result` stands for the whole answer."""

_TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None", "object": "dict"}


def signature(name: str, arguments: Mapping[str, Any], output: Mapping[str, Any] | None) -> str:
    """The line; parameters without a type have none, optional ones show their default."""
    required = set(arguments.get("required", ()))
    parameters = []
    for key, schema in (arguments.get("properties") or {}).items():
        type_ = type_name(schema, arguments)
        text = f"{key}: {type_}" if type_ else key
        if key not in required:
            default = _default(schema)
            text += f" = {default}" if type_ else f"={default}"
        parameters.append(text)
    line = f"{name}({', '.join(parameters)})"
    result = type_name(unwrapped(output), output) if output else ""
    return f"{line} -> {result}" if result else line


def unwrapped(output: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the tool itself returns, by its output schema."""
    if output.get(WRAP):
        inner: Mapping[str, Any] = (output.get("properties") or {}).get("result", {})
        return inner
    return output


def type_name(schema: Any, root: Mapping[str, Any]) -> str:
    """A schema as a Python type; empty when it says nothing."""
    if not isinstance(schema, Mapping):
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value, ensure_ascii=False) for value in schema['enum'])}]"
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(type_name(option, root) or "Any" for option in options))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_TYPES.get(item, "list" if item == "array" else item) for item in kind)
    if kind == "array":
        inner = type_name(schema.get("items"), root)
        return f"list[{inner}]" if inner else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        inner = type_name(schema["additionalProperties"], root)
        return f"dict[str, {inner}]" if inner else "dict"
    return _TYPES.get(kind, "") if isinstance(kind, str) else ""


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, with a reference into `$defs` followed once."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        schema = (root.get("$defs") or {}).get(str(schema["$ref"]).rpartition("/")[2], {})
    return schema if isinstance(schema, Mapping) else {}


def _default(schema: Any) -> str:
    if not isinstance(schema, Mapping) or "default" not in schema:
        return "..."
    default = schema["default"]
    return repr(default) if isinstance(default, bool | None) else json.dumps(default, ensure_ascii=False)
