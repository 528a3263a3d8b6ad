"""What the code becomes: tools, their descriptions, their answers. Seen through a real client."""

import asyncio
import re

import pytest

CODE = '''
from __future__ import annotations
import functools, json as j, os
from dataclasses import dataclass
from enum import Enum
from os.path import join
from typing import Optional
from fastmcp import Context
from fastmcp.exceptions import ToolError
from pydantic import BaseModel

FACTOR = 2
CALLS = []

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Point:
    x: int
    y: int = 0

class Person(BaseModel):
    name: str
    friends: list["Person"] = []

def loud(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return function(*args, **kwargs).upper()
    return wrapped

def twice(value: int) -> int:
    """Double it.

    Args:
        value: what to double
    """
    return value * FACTOR

def four_times(value: int) -> int:
    """Calls another tool."""
    return twice(twice(value))

async def later(value: int = 3, unit: Optional[str] = None) -> str:
    """Async, defaults, Optional."""
    return f"{value} {unit}"

def dumped(items: list[int]) -> str:
    """Uses a top-level import."""
    return j.dumps(items) + join("a", "b")

def mirrored(point: Point) -> Point:
    """Dataclass in and out."""
    return Point(point.y, point.x)

def mixed(colour: Colour) -> str:
    """Enum."""
    return colour.name

def named(person: Person) -> str:
    """Pydantic, referring to itself."""
    return person.name + str(len(person.friends))

@loud
def shouted(text: str) -> str:
    """Decorated."""
    return text

@functools.cache
def remembered(value: int) -> int:
    """Behind a decorator that is no function."""
    CALLS.append(value)
    return len(CALLS)

def passes_on(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapped

@passes_on
async def wrapped_async(value: int) -> int:
    """A plain decorator around async def."""
    return value

def echo(text):
    return text

def _private() -> str:
    return "no"

def many(*values: int) -> int:
    return 0

def options(**values: int) -> int:
    return 0

def by_place(a: int, /) -> int:
    return a

def unresolved(a: NoSuchType) -> int:
    return 0

def with_context(ctx: Context) -> str:
    return ""

def fails(secret: str) -> str:
    """Raises."""
    raise ValueError("the password is " + secret)

def tells(text: str) -> str:
    """Raises ToolError."""
    raise ToolError("tell them: " + text)

def model_fails() -> str:
    """A pydantic error of its own."""
    Person.model_validate({"name": 5})
    return ""

def leaves() -> str:
    """sys.exit"""
    raise SystemExit(3)

def cyclic():
    """x"""
    a = []
    a.append(a)
    return a

def an_object():
    """x"""
    return object()

def some_bytes() -> bytes:
    """x"""
    return b"text"

def generated():
    """x"""
    yield from (1, 2)

def endless():
    """x"""
    while True:
        yield 1

async def generated_later():
    """x"""
    yield 1

def mapped():
    """x"""
    return map(str, [1])

def a_bytearray():
    """x"""
    return bytearray(b"text")

async def later_bytes() -> bytes:
    """x"""
    return b"text"

def nothing() -> None:
    """x"""

def large(size: int) -> str:
    """x"""
    return "x" * size

def take(number: float, text: str = "") -> float:
    """x"""
    CALLS.append("take")
    return number

def taken() -> int:
    """How often."""
    return CALLS.count("take")

def printed() -> str:
    """x"""
    print("PRINTED-BY-A-TOOL")
    return input() if False else "done"
'''
TOOLS = [
    "loud", "twice", "four_times", "later", "dumped", "mirrored", "mixed", "named", "shouted", "remembered",
    "passes_on", "wrapped_async", "echo", "fails", "tells", "model_fails", "leaves", "cyclic", "an_object",
    "some_bytes", "generated", "endless", "generated_later", "mapped", "a_bytearray", "later_bytes", "nothing", "large",
    "take", "taken", "printed",
]  # fmt: skip


JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN = {**JSON, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
META = """{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
"io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"}}"""
# Path, headers and body with the words TOOL and ARGUMENTS: no client of ours writes what is no JSON.
CALL_BY_HAND = {
    "modern": (
        "/mcp",
        MODERN,
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "TOOL", "arguments": ARGUMENTS, '
        f'"_meta": {META}}}}}',
    ),
    "session": (
        "/mcp",
        JSON,
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "TOOL", "arguments": ARGUMENTS}}',
    ),
    "plain": ("/mcp/tools", JSON, '{"tool": "TOOL", "arguments": ARGUMENTS}'),
}


@pytest.fixture(scope="module")
def server(shared):
    return shared(CODE, MCP_MAX_RESULT_BYTES=str(1 << 20)).until_ready()


@pytest.fixture(scope="module")
def touching(shared):
    return shared("""
import os
from os import mkdir
def _private(path: str) -> None:
    mkdir(path)
def many(*path: str) -> None:
    mkdir(path[0])
def by_place(path: str, /) -> None:
    mkdir(path)
class Made:
    def __init__(self, path: str) -> None:
        mkdir(path)
def touch(path: str) -> None:
    _private(path)
""").until_ready()


@pytest.fixture(scope="module")
def tools(server):
    async def run():
        async with server.connected() as client:
            return {tool.name: tool for tool in await client.list_tools()}

    return asyncio.run(run())


def test_only_functions_made_in_the_code_are_tools_in_its_order(tools):
    """B76, B77, S4.44."""
    assert list(tools) == TOOLS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("many", "*values"),
        ("options", "**values"),
        ("by_place", "positional-only"),
        ("unresolved", "NoSuchType"),
        ("with_context", "Context"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_one_line_that_names_it_and_why(server, name, why):
    """B77."""
    lines = [line for line in server.log.splitlines() if line.startswith(f"rawpython: tool {name} is left out: ")]
    assert len(lines) == 1
    assert why in lines[0]


@pytest.mark.parametrize(
    ("tool", "arguments", "answer"),
    [
        ("twice", {"value": 4}, 8),
        ("four_times", {"value": 4}, 16),
        ("later", {}, "3 None"),
        ("later", {"value": 1, "unit": "m"}, "1 m"),
        ("dumped", {"items": [1]}, "[1]a/b"),
        ("mixed", {"colour": "red"}, "RED"),
        ("named", {"person": {"name": "a", "friends": [{"name": "b"}]}}, "a1"),
        ("shouted", {"text": "hi"}, "HI"),
        ("remembered", {"value": 1}, 1),
        ("wrapped_async", {"value": 6}, 6),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_functions_of_every_kind_answer_in_both_eras(server, mode, tool, arguments, answer):
    """B77."""
    assert server.call(tool, arguments, mode).data == answer


def test_a_dataclass_goes_in_and_out(server):
    assert server.call("mirrored", {"point": {"x": 1, "y": 2}}).structured_content == {"x": 2, "y": 1}


def test_both_eras_and_both_names_of_the_server(server):
    async def run(mode):
        async with server.connected(mode) as client:
            return client.protocol_version, client.server_info.name

    assert asyncio.run(run("auto")) == ("2026-07-28", "RawPython MCP Server")
    assert asyncio.run(run("legacy")) == ("2025-11-25", "RawPython MCP Server")


def test_a_function_without_docstring_or_annotations_takes_any_json(server, tools):
    """S4 §3.1's own echo; S1.7."""
    assert tools["echo"].description == "echo"
    assert tools["echo"].input_schema["properties"] == {"text": {}}
    assert server.call("echo", {"text": {"a": [1, None]}}).structured_content == {"a": [1, None]}
    assert server.log.count("warning: tool echo has no docstring and no annotation for text") == 1


def test_docstrings_describe_tools_and_parameters(tools):
    """S1.7."""
    assert tools["twice"].description == "Double it."
    assert tools["twice"].input_schema["properties"]["value"] == {"type": "integer", "description": "what to double"}


def test_an_exception_shows_its_type_and_hides_its_message(server, text):
    """B67."""
    result = server.call("fails", {"secret": "hunter2"})
    assert result.is_error
    assert text(result) == "Error calling tool 'fails': ValueError"
    line = CODE[: CODE.index("raise ValueError")].count("\n") + 1
    assert f"rawpython: tool fails failed: ValueError at line {line}\n" in server.log
    assert "hunter2" not in server.log


def test_a_tool_error_passes_its_text(server, text):
    """B67."""
    result = server.call("tells", {"text": "hello"})
    assert result.is_error
    assert text(result) == "tell them: hello"


def test_a_pydantic_error_of_the_tool_is_not_taken_for_bad_arguments(server, text):
    assert text(server.call("model_fails")) == "Error calling tool 'model_fails': ValidationError"


def test_sys_exit_in_a_tool_is_its_error_only(server, text):
    """B69."""
    assert text(server.call("leaves")) == "Error calling tool 'leaves': SystemExit"
    assert server.call("twice", {"value": 1}).data == 2


def test_tracebacks_are_logged_at_debug(start):
    """B67: details only at debug."""
    server = start(
        "def fails() -> str:\n    '''x'''\n    raise ValueError('the detail')\n", LOG_LEVEL="DEBUG"
    ).until_ready()
    server.call("fails")
    assert "    raise ValueError('the detail')\n" in server.log


@pytest.mark.parametrize(("tool", "arguments"), [("cyclic", {}), ("an_object", {}), ("large", {"size": 1 << 20})])
def test_a_result_that_has_no_json_or_is_too_large_is_an_error(server, text, tool, arguments):
    """B68."""
    result = server.call(tool, arguments)
    assert result.is_error
    assert len(text(result)) < 400
    assert tool in text(result)


@pytest.mark.parametrize(
    ("tool", "found", "instead"),
    [
        ("some_bytes", "bytes", "return a str "),
        ("a_bytearray", "bytearray", "return a str "),
        ("later_bytes", "bytes", "return a str "),
        ("generated", "generator", "return a list, "),
        ("endless", "generator", "return a list, "),
        ("mapped", "map", "return a list, "),
        ("generated_later", "async_generator", "return a list, "),
    ],
)
def test_bytes_and_iterators_are_errors_that_say_what_to_return(server, text, tool, found, instead):
    """B68: `endless` shows that no generator is run to find out."""
    result = server.call(tool)
    assert result.is_error
    assert text(result).startswith(f"Tool {tool!r} returned a value of type {found}; {instead}")


def test_none_is_a_result(server):
    result = server.call("nothing")
    assert (result.is_error, result.data) == (False, None)


def test_a_result_of_50_megabytes_is_an_error_by_default_and_the_process_lives(start, text):
    """B68: 8 MiB unless MCP_MAX_RESULT_BYTES says otherwise; the answer is about the size, so no time-out was met."""
    server = start("""
import os
def large(size: int) -> str:
    return "x" * size
def pid() -> int:
    return os.getpid()
""").until_ready()
    before = server.call("pid").data
    result = server.call("large", {"size": 50_000_000})
    assert result.is_error
    assert re.fullmatch(r"The result of tool 'large' has [\d,]{10,11} bytes; the limit is 8,388,608", text(result)), (
        text(result)
    )
    assert server.call("large", {"size": 3_000_000}).data == "x" * 3_000_000
    assert server.call("pid").data == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"number": "x" * 1_000_000},
        {"number": 1, "extra": "y" * 1_000_000},
        {"number": 1, "k" * 1_000_000: 1},
        {f"{n}" + "k" * 1000: 1 for n in range(500)},
        {},
        {"number": [1]},
        {"number": 1, "text": 10**400},
    ],
    ids=["type", "extra", "long key", "many keys", "missing", "list", "huge int"],
)
def test_bad_arguments_are_an_error_that_repeats_little_of_them(server, text, arguments):
    """B66."""
    result = server.call("take", arguments)
    assert result.is_error
    assert max(text(result).count(letter) for letter in "xyk") <= 200
    assert len(text(result)) < 1500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '[{"a": NaN}]'])
@pytest.mark.parametrize("mode", ["modern", "session", "plain"])
def test_a_number_that_is_none_is_refused_before_the_tool_sees_it(server, mode, number):
    """B66: JSON has no NaN and no infinity, whatever the parsers take; also where any value is taken."""
    path, headers, body = CALL_BY_HAND[mode]
    before = server.call("taken").data
    for tool, argument in (("take", "number"), ("echo", "text")):
        content = body.replace("TOOL", tool).replace("ARGUMENTS", f'{{"{argument}": {number}}}')
        answer = server.request("POST", path, content=content, headers={**headers, "Mcp-Name": tool})
        message = f"Invalid arguments for tool {tool!r}: {argument}: a JSON number is finite"
        if mode == "plain":
            assert (answer.status_code, answer.json()) == (422, {"error": message})
        else:
            result = answer.json()["result"]
            assert (answer.status_code, result["isError"]) == (200, True)
            assert result["content"] == [{"type": "text", "text": message}]
    assert server.call("taken").data == before


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_the_words_nan_and_infinity_are_texts_like_others(server, text):
    """B66: what is refused is the number; a witness that `take` counts calls as well."""
    before = server.call("taken").data
    assert server.call("take", {"number": 1, "text": text}).data == 1
    assert server.call("taken").data == before + 1


def test_arguments_over_four_megabytes_are_refused_before_they_are_read(server):
    """B66: 10 MB; the limit is the MCP SDK's."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "take", "arguments": {"number": 1, "text": "x" * 10_000_000}},
    }
    assert server.request("POST", "/mcp", json=body).status_code == 413


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "__import__",
        "_private",
        "join",
        "many",
        "x" * 129,
        "a b",
        "tw\0ice",
        "tw\u0456ce",
        "",
        "j.dumps",
        "CALLS",
    ],
)
def test_a_name_that_is_no_tool_is_not_executed(server, text, name):
    """B65."""
    result = server.call(name, {"value": 1})
    assert result.is_error
    assert "Unknown tool" in text(result)


@pytest.mark.parametrize("name", ["_private", "mkdir", "os.mkdir", "many", "by_place", "Made", "__import__"])
def test_what_is_no_tool_leaves_no_trace(touching, tmp_path, name):
    """B65: each would make what `path` names, had it been called."""
    mark = tmp_path / "mark"
    assert touching.call(name, {"path": str(mark)}).is_error
    plain = {"tool": name, "arguments": {"path": str(mark)}}
    assert touching.request("POST", "/mcp/tools", json=plain).status_code == 404
    assert list(tmp_path.iterdir()) == []


def test_what_is_a_tool_leaves_the_trace(touching, tmp_path):
    """B65: the witness can be seen."""
    assert touching.call("touch", {"path": str(tmp_path / "mark")}).is_error is False
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_prints_go_to_the_log(server):
    """B70."""
    assert server.call("printed").data == "done"
    assert "PRINTED-BY-A-TOOL\n" in server.log


def test_descriptions_are_plain_and_at_most_4_kib(start):
    """B71."""
    hidden = "\x1b[31mred\x1b[0m\x1b]0;title\x07 zero\u200bwidth \u202eflip\u2066 bell\x07 tag\U000e0041"
    code = f"""
from typing import Annotated
from pydantic import Field
def painted(a: Annotated[int, Field(description={hidden!r})]) -> int:
    return a
painted.__doc__ = {hidden!r}
def long() -> int:
    return 1
long.__doc__ = "é" * 10_000
"""
    server = start(code).until_ready()
    painted, long = server.request("GET", "/mcp/tools").json()["tools"]
    assert painted["description"] == "red zerowidth flip bell tag"
    assert painted["inputSchema"]["properties"]["a"]["description"] == "red zerowidth flip bell tag"
    assert 4000 < len(long["description"].encode()) <= 4096


def test_the_server_bears_the_name_it_was_given(start):
    server = start("def f() -> int:\n    '''x'''\n    return 1\n", KAOS_SERVER_NAME="calc").until_ready()

    async def run():
        async with server.connected() as client:
            return client.server_info.name

    assert asyncio.run(run()) == "calc"


def test_code_from_a_file_and_larger_than_an_environment_variable_is_served(start, tmp_path):
    path = tmp_path / "tools.yaml"
    padding = "\n".join(f"    # {n:060}" for n in range(4000))
    path.write_text(f"code: |\n    def f() -> int:\n        '''x'''\n{padding}\n        return 7\n")
    assert path.stat().st_size > 200_000
    assert start(MCP_TOOLS_STRING_FILE=str(path)).until_ready().call("f").data == 7


def test_the_examples_of_the_documents_work(start):
    """S1.33, S1.34, S1.36 in short; S1.8 says that eval is the author's own affair."""
    server = start('''
def divide(a: int, b: int) -> str:
    """Divide two numbers."""
    if b == 0:
        return "Error: Division by zero"
    return str(a / b)
def reverse(text: str) -> str:
    """Reverse."""
    return text[::-1]
def calculate(expression: str) -> str:
    """Calculate."""
    try:
        return str(eval(expression))
    except Exception as e:
        return f"Error: {e}"
''').until_ready()
    assert server.call("divide", {"a": 1, "b": 0}).data == "Error: Division by zero"
    assert server.call("reverse", {"text": "abc"}).data == "cba"
    assert server.call("calculate", {"expression": "2*3"}).data == "6"
    assert server.call("calculate", {"expression": "1/0"}).data == "Error: division by zero"


def test_images_and_content_blocks_are_results(start):
    server = start("""
from fastmcp.utilities.types import Image
from mcp_types import TextContent
def drawn() -> Image:
    return Image(data=b"png", format="png")
def both() -> list:
    return ["a", Image(data=b"png", format="png"), TextContent(type="text", text="b")]
""").until_ready()
    assert [block.type for block in server.call("drawn").content] == ["image"]
    assert [block.type for block in server.call("both").content] == ["text", "image", "text"]
