"""Code -> FastMCP tools, in the worker: one real module, its own public functions, a line for each one left out."""

from __future__ import annotations

import asyncio
import functools
import inspect
import linecache
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from fastmcp.exceptions import ToolError  # noqa: TID253  # the server's side: only the server imports this module
from fastmcp.server.dependencies import without_injected_parameters  # noqa: TID253  # as above
from fastmcp.tools import ToolResult  # noqa: TID253  # as above
from fastmcp.tools.function_tool import FunctionTool  # noqa: TID253  # as above
from fastmcp.utilities.types import Audio, File, Image  # noqa: TID253  # as above
from mcp_types import CallToolResult, ContentBlock
from pydantic_core import PydanticSerializationError, to_json

from kaos_runtime_rawpython.descriptions import plain, plain_schema
from kaos_runtime_rawpython.exits import StartError
from kaos_runtime_rawpython.source import FILENAME, one_line

MODULE = "kaos_tools"
_CONTENT = (*get_args(ContentBlock), Audio, File, Image)
_SHOWN_AS_THEY_ARE = (str, ToolResult, CallToolResult, *_CONTENT)

Function = Callable[..., Any]


class CodeTool(FunctionTool):
    """A function of the code. Unlike FastMCP's own it never passes the `repr()` of a value off as its JSON."""

    def convert_result(self, raw_value: Any) -> ToolResult:
        """The result as content blocks and structured content.

        Raises:
            ToolError: the value has no JSON.
        """
        try:
            result = super().convert_result(raw_value)
            if (
                result.structured_content is None
                and raw_value is not None
                and not isinstance(raw_value, _SHOWN_AS_THEY_ARE)
            ):
                to_json(result.content if _has_content(raw_value) else raw_value)
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ToolError(
                f"The result of tool {self.name!r} cannot be written as JSON: {one_line(str(error))}"
            ) from None
        return result


@dataclass(frozen=True)
class LoadedTool:
    """A tool and how to run it: on the event loop, or in a thread."""

    tool: CodeTool
    is_async: bool

    def report(self) -> dict[str, Any]:
        """What the front needs to list it, as JSON data."""
        tool = self.tool
        return {
            "name": tool.name,
            "title": plain(tool.title, 256) if tool.title else None,
            "description": plain(tool.description or tool.name) or tool.name,
            "parameters": plain_schema(tool.parameters),
            "output_schema": plain_schema(tool.output_schema),
            "annotations": tool.annotations.model_dump(mode="json", exclude_none=True) if tool.annotations else None,
            "is_async": self.is_async,
        }


def line_in_code(error: BaseException) -> int:
    """The last line of the code that the error passed through; 0 when it never did."""
    line, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILENAME:
            line = step.tb_lineno
        step = step.tb_next
    return line


def run_module(code: str) -> types.ModuleType:
    """Execute the code as the module `kaos_tools`.

    One dictionary for globals and locals: with two, functions would see neither each other nor top-level imports.

    Raises:
        StartError: `ImportError` or `InvalidCode`, with the line.
    """
    module = types.ModuleType(MODULE)
    module.__file__ = FILENAME
    # Dataclasses, self-referring annotations and pickle look a class's module up there.
    sys.modules[MODULE] = module
    linecache.cache[FILENAME] = (len(code), None, code.splitlines(keepends=True), FILENAME)
    try:
        exec(compile(code, FILENAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # this is what the runtime is for
    except ImportError as error:
        raise StartError("ImportError", f"line {line_in_code(error) or 1}: {error}") from error
    except BaseException as error:  # SystemExit too: nothing that the code raises may end the worker unsaid
        raise StartError("InvalidCode", f"line {line_in_code(error) or 1}: {type(error).__name__}: {error}") from error
    return module


def build_tools(
    module: types.ModuleType, loop: asyncio.AbstractEventLoop, log: Callable[[str], None]
) -> dict[str, LoadedTool]:
    """The module's own public functions as tools, in the order of the code.

    Raises:
        StartError: `NoTools`, saying why each candidate was left out.
    """
    tools: dict[str, LoadedTool] = {}
    dropped: list[str] = []
    for name, value in list(vars(module).items()):
        function = _own_function(value)
        if function is None or name.startswith("_"):
            continue
        try:
            tools[name] = _tool(name, function, loop)
        except Exception as error:  # noqa: BLE001  # pydantic and typing raise of every kind for annotations they cannot use
            dropped.append(f"{name}: {one_line(str(error) or type(error).__name__, 120)}")
            log(f"tool {name} is left out: {one_line(str(error) or type(error).__name__, 400)}")
            continue
        missing = _undocumented(function)
        if missing:
            log(f"warning: tool {name} has no {missing}")
    if not tools:
        why = "; ".join(dropped) or "the code defines no public function (imported ones and _names are not published)"
        raise StartError("NoTools", why)
    return tools


def _own_function(value: object) -> Function | None:
    """The value if it is a function made in the code, also behind decorators such as `functools.cache`."""
    if isinstance(value, type) or getattr(value, "__module__", None) != MODULE or not callable(value):
        return None
    inner = inspect.unwrap(value) if hasattr(value, "__wrapped__") else value
    if not inspect.isfunction(inner):
        return None
    if inspect.isfunction(value):
        return value

    # FastMCP would ask a callable object for its `__call__`, which has lost the signature.
    @functools.wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        return value(*args, **kwargs)

    return call


def _tool(name: str, function: Function, loop: asyncio.AbstractEventLoop) -> LoadedTool:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise TypeError(f"*{parameter.name} has no place in a JSON object of arguments")
        if parameter.kind is parameter.VAR_KEYWORD:
            raise TypeError(f"**{parameter.name} has no place in a schema of named arguments")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(f"{parameter.name} is positional-only; MCP passes arguments by name")
    if without_injected_parameters(function) is not function:
        raise TypeError(
            "it asks for FastMCP's Context or a dependency; tools run in a process of their own, without one"
        )
    is_async = inspect.iscoroutinefunction(function)
    if not is_async and inspect.iscoroutinefunction(inspect.unwrap(function)):
        function = _awaited_on(loop, function)
    made = CodeTool.from_function(_checked(name, function, is_async=is_async), name=name)
    # A thread is the worker's own, see worker.py; FastMCP need not start a second one. The front keeps the time.
    tool = made.model_copy(update={"run_in_thread": False, "timeout": None})
    assert isinstance(tool, CodeTool)  # noqa: S101  # from_function is typed as its parent's
    return LoadedTool(tool, is_async)


def _awaited_on(loop: asyncio.AbstractEventLoop, function: Function) -> Function:
    """A plain decorator around `async def` returns a coroutine: run that on the worker's loop and wait for it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        return asyncio.run_coroutine_threadsafe(value, loop).result() if inspect.iscoroutine(value) else value

    # wraps() copies the mark that makes inspect see a coroutine function through __wrapped__ only; keep the signature.
    return call


def _checked(name: str, function: Function, *, is_async: bool) -> Function:
    """The function, except that bytes and iterators are its error (catalogue, B68).

    It has to be seen before FastMCP sees it: that would run a generator to its end, if it has one, and pass bytes off
    as text when they happen to be UTF-8.
    """

    def check(value: Any) -> Any:
        instead = ""
        if isinstance(value, bytes | bytearray | memoryview):
            instead = "a str (decode them, or base64), or an Image, Audio or File of fastmcp.utilities.types"
        elif isinstance(value, Iterator | AsyncIterator):
            instead = "a list, a dict or a str"
        if instead:
            raise ToolError(f"Tool {name!r} returned a value of type {type(value).__name__}; return {instead} instead")
        return value

    if is_async:

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return check(await function(*args, **kwargs))

    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return check(function(*args, **kwargs))

    return call


def _undocumented(function: Function) -> str:
    signature = inspect.signature(function)
    untyped = [name for name, parameter in signature.parameters.items() if parameter.annotation is parameter.empty]
    missing = [] if inspect.getdoc(function) else ["docstring"]
    if untyped:
        missing.append(f"annotation for {', '.join(untyped[:5])}")
    return " and no ".join(missing)


def _has_content(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, _CONTENT) for item in value)
