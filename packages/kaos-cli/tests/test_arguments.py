"""What a tool is called with: refused before any connection when it cannot be right (B50), typed by a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_cli.commands.mcp.arguments import from_json, pairs, typed
from kaos_cli.commands.mcp.signature import signature
from kaos_cli.errors import UsageError

if TYPE_CHECKING:
    from conftest import Kaos

BAD = [
    "",
    "{",
    "[1]",
    "1",
    "null",
    '"x"',
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": 1, "a": 2}',
    '{"b": {"a": 1, "a": 2}}',
]


@pytest.mark.parametrize(
    "text", [*BAD, "[" * 100_000, '{"a": "' + "x" * 5_000_000 + '"}', "@nosuch"], ids=lambda text: text[:12]
)
def test_args_that_are_no_json_object_are_refused(text: str) -> None:
    """B50."""
    with pytest.raises(UsageError) as caught:
        from_json(text)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", [*BAD, "@nosuch.json"])
def test_bad_args_are_exit_2_before_any_connection(kaos: Kaos, text: str) -> None:
    """B50: the server does not even exist, and nobody has looked for it."""
    done = kaos("mcp", "invoke", "nosuch", "--tool", "add", "--args", text, "--local")
    assert (done.returncode, done.stdout) == (2, "")
    assert kaos.is_untouched()


def test_args_come_from_a_file_or_stdin_too(kaos: Kaos) -> None:
    """B50: good ones get as far as the missing server."""
    kaos.file("args.json", '{"a": 1}')
    for text in ("@args.json", "-"):
        done = kaos("mcp", "invoke", "nosuch", "--tool", "add", "--args", text, "--local", stdin='{"a": 1}')
        assert done.returncode == 1
        assert "mcpserver/nosuch not found" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("a=1",), (), ("add", "a"), ("add", "=1"), ("add", "a=1", "a=2"), ("add", "a=1", "--args", "{}")]
)
def test_words_that_say_no_tool_or_no_value_are_exit_2(kaos: Kaos, arguments: tuple[str, ...]) -> None:
    assert kaos("mcp", "invoke", "nosuch", *arguments, "--local").returncode == 2


TYPED: list[tuple[Any, str, Any]] = [
    ({"type": "integer"}, "2", 2),
    ({"type": "integer"}, "-7", -7),
    ({"type": "number"}, "2", 2),
    ({"type": "number"}, "1e3", 1000.0),
    ({"type": "boolean"}, "true", True),
    ({"type": "boolean"}, "False", False),
    ({"type": "string"}, "2", "2"),
    ({"type": "string"}, "true", "true"),
    ({"type": "string"}, "", ""),
    ({"type": "array"}, "[1, 2]", [1, 2]),
    ({"type": "object"}, '{"a": 1}', {"a": 1}),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "3", 3),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "3", 3),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "x", "x"),
    ({"type": ["string", "null"]}, "x", "x"),
    ({"$ref": "#/$defs/Point"}, '{"x": 1}', {"x": 1}),
    ({"enum": ["1", "2"]}, "1", "1"),
    ({}, "3", 3),
    ({}, "text", "text"),
    ({}, "[1", "[1"),
]


@pytest.mark.parametrize(("schema", "text", "value"), TYPED)
def test_a_word_becomes_the_type_its_schema_asks_for(schema: Any, text: str, value: Any) -> None:
    root = {"properties": {"a": schema}, "$defs": {"Point": {"type": "object"}}}
    result = typed({"a": text}, root)["a"]
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "x"),
        ("integer", "1.5"),
        ("integer", "true"),
        ("number", "NaN"),
        ("boolean", "1"),
        ("array", "1"),
        ("object", "[]"),
    ],
)
def test_a_word_of_another_type_is_refused_by_name(kind: str, text: str) -> None:
    with pytest.raises(UsageError, match=r"^the argument a takes "):
        typed({"a": text}, {"properties": {"a": {"type": kind}}})


@given(st.dictionaries(st.text(st.characters(exclude_characters="="), min_size=1), st.text()))
def test_words_keep_names_and_values(words: dict[str, str]) -> None:
    assert pairs([f"{name}={value}" for name, value in words.items()]) == words


@given(st.text())
def test_no_text_breaks_typing(text: str) -> None:
    schema = {"properties": {"a": {"type": "string"}}}
    assert typed({"a": text}, schema) == {"a": text}


def test_a_signature_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {
        "properties": {
            "a": {"type": "integer"},
            "b": {},
            "c": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "d": {"type": "array", "items": {"type": "number"}, "default": [1]},
            "e": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "f": {"$ref": "#/$defs/Point", "default": {"x": 1}},
            "g": {"enum": ["x", "y"], "default": "x"},
            "h": {"type": "boolean", "default": True},
        },
        "required": ["a", "b", "e"],
    }
    output = {"type": "object", "properties": {"result": {"type": "string"}}, "x-fastmcp-wrap-result": True}
    assert signature("f", arguments, output) == (
        "f(a: int, b, c: str | None = None, d: list[float] = [1], e: dict[str, bool], "
        'f: Point = {"x": 1}, g: Literal["x", "y"] = "x", h: bool = True) -> str'
    )
    assert signature("g", {}, None) == "g()"
