"""`kaos mcp invoke`: call one tool and print what it answers (S4.89)."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kaos_cli.commands.mcp.arguments import from_json, pairs, typed
from kaos_cli.commands.mcp.session import converse
from kaos_cli.commands.mcp.signature import WRAP
from kaos_cli.completion import tools
from kaos_cli.errors import ToolFailedError, UsageError
from kaos_cli.names import resource_name
from kaos_cli.options import ONE_MINUTE, Local, Name, Namespace, Timeout
from kaos_cli.output import emit, yaml_text
from kaos_cli.target import Ref
from kaos_cli.targets import choose, namespace_of

if TYPE_CHECKING:
    from fastmcp import Client


def invoke(
    context: typer.Context,
    name: Name,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOOL] [NAME=VALUE]...",
            help="The tool and its arguments.",
            show_default=False,
            autocompletion=tools,
        ),
    ] = None,
    tool: Annotated[str | None, typer.Option("--tool", metavar="TOOL", help="The tool.")] = None,
    args: Annotated[
        str | None, typer.Option("--args", metavar="JSON|@FILE|-", help="Its arguments as a JSON object.")
    ] = None,
    namespace: Namespace = None,
    output: Annotated[
        Literal["json", "yaml", "text"], typer.Option("--output", "-o", help="Output format; text is the bare answer.")
    ] = "json",
    timeout: Timeout = ONE_MINUTE,
    local: Local = False,
) -> None:
    """Call a tool of an MCP server."""
    resource_name(name)
    rest = list(words or [])
    where = (" --local" if local else "") + (f" -n {namespace}" if namespace else "")
    listing = f"kaos mcp tools {name}{where} lists them"
    if tool is None:
        if not rest or "=" in rest[0]:
            raise UsageError("no tool", hint=f"{listing}; then kaos mcp invoke {name}{where} TOOL NAME=VALUE…")
        tool = rest.pop(0)
    if args is not None and rest:
        raise UsageError(f"--args and {rest[0]!r} do not go together")
    given = from_json(args) if args is not None else None
    texts = pairs(rest)
    target = choose(context, local)
    ref = Ref("MCPServer", namespace_of(target, namespace), name)

    async def work(client: Client[Any]) -> Any:
        offered = {item.name: item for item in await client.list_tools()}
        if tool not in offered:
            raise ToolFailedError(_unknown(tool, name, list(offered)), hint=listing)
        found = offered[tool]
        arguments = typed(texts, found.input_schema) if given is None else given
        answer = await client.call_tool(tool, arguments, raise_on_error=False, timeout=timeout)
        return answer, found

    answer, found = converse(target.mcp_url(ref), target.headers(ref), timeout, work)
    if answer.is_error:
        raise ToolFailedError(_text(answer) or f'the tool "{tool}" failed without a word')
    if output == "text":
        emit(_text(answer))
        return
    result = {"result": _result(answer, found)}
    if output == "yaml":
        emit(yaml_text(result))
    else:
        import json

        emit(json.dumps(result, ensure_ascii=False))


def _unknown(tool: str, server: str, offered: list[str]) -> str:
    near = get_close_matches(tool, offered, n=3)
    tail = (
        f" Did you mean: {', '.join(near)}?"
        if near
        else f" It has: {', '.join(sorted(offered)[:20])}."
        if offered
        else " It has none."
    )
    return f'tool "{tool}" not found on {server}.{tail}'


def _result(answer: Any, tool: Any) -> Any:
    """The structured answer without FastMCP's wrapping, else the text, else every block as it came."""
    if answer.structured_content is not None:
        wrapped = bool((tool.output_schema or {}).get(WRAP))
        return answer.structured_content.get("result") if wrapped else answer.structured_content
    blocks = [
        block.text if block.type == "text" else block.model_dump(mode="json", by_alias=True, exclude_none=True)
        for block in answer.content
    ]
    return blocks[0] if len(blocks) == 1 else blocks or None


def _text(answer: Any) -> str:
    return "\n".join(block.text if block.type == "text" else f"[{block.type}]" for block in answer.content)
