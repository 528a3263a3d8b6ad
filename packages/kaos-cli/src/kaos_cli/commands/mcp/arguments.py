"""What a tool is called with: `--args` JSON, read before any connection (B50), or `k=v` words typed by a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from kaos_cli.commands.mcp.signature import resolved, type_name
from kaos_cli.errors import UsageError
from kaos_cli.inputs import MAX_BYTES, read_text
from kaos_cli.names import shown


def from_json(text: str) -> dict[str, Any]:
    """`--args JSON|@file|-` as an object. Raises UsageError for anything else, NaN and duplicate keys among it."""
    text = read_text(text)
    if len(text) > MAX_BYTES:
        raise UsageError(f"--args is larger than {MAX_BYTES // 1024} KiB")
    try:
        value = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"--args is not JSON: {error}", hint="""for example --args '{"name": "World"}'""") from None
    except (RecursionError, ValueError) as error:
        raise UsageError(f"--args cannot be read: {type(error).__name__}: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(
            f"--args is a JSON {_kind(value)}, not an object", hint="""for example --args '{"name": "World"}'"""
        )
    return value


def pairs(words: Sequence[str]) -> dict[str, str]:
    """`k=v` words by name, still text. Raises UsageError for a word without `=` and for a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{shown(word)} is not NAME=VALUE")
        if name in found:
            raise UsageError(f"the argument {shown(name)} is given twice")
        found[name] = value
    return found


def typed(words: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Each text as the type its property in the tool's input schema asks for. Raises UsageError when it is none."""
    properties = schema.get("properties") or {}
    return {name: _typed(name, text, properties.get(name, {}), schema) for name, text in words.items()}


def _typed(name: str, text: str, schema: Any, root: Mapping[str, Any]) -> Any:
    kinds = _kinds(schema, root)
    for kind in ("null", "boolean", "integer", "number", "array", "object"):
        if kind in kinds or not kinds:
            value = _read(text)
            if _is(value, kind):
                return value
    if "string" in kinds or not kinds:
        return text
    wanted = type_name(schema, root) or " or ".join(sorted(kinds))
    raise UsageError(f"the argument {name} takes {wanted}, not {shown(text)}")


def _kinds(schema: Any, root: Mapping[str, Any]) -> set[str]:
    """The JSON types a schema lets through; empty is any."""
    schema = resolved(schema, root)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        found = [_kinds(option, root) for option in options]
        return set().union(*found) if all(found) else set()
    if "enum" in schema and "type" not in schema:
        return {"string"} if all(isinstance(value, str) for value in schema["enum"]) else set()
    kind = schema.get("type", ())
    return {kind} if isinstance(kind, str) else set(kind)


_NOT_JSON = object()


def _read(text: str) -> Any:
    lowered = {"true": True, "false": False}.get(text.lower())
    if lowered is not None:
        return lowered
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError, UsageError):
        return _NOT_JSON


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    types: dict[str, Any] = {"null": type(None), "integer": int, "number": int | float, "array": list, "object": dict}
    return kind in types and isinstance(value, types[kind])


def _no_twins(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"--args: the key {shown(twice)} stands twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise UsageError(f"--args: {word} is no JSON")


def _kind(value: Any) -> str:
    return {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}.get(type(value), "null")
