"""`kaos mcp tools`: what a server can do, one signature a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kaos_cli.commands.mcp.session import converse
from kaos_cli.commands.mcp.signature import signature
from kaos_cli.names import resource_name
from kaos_cli.options import HALF_A_MINUTE, Local, Name, Namespace, Timeout
from kaos_cli.output import emit, show, table, talk
from kaos_cli.target import Ref
from kaos_cli.targets import choose, namespace_of

if TYPE_CHECKING:
    from fastmcp import Client


def tools(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    output: Annotated[
        Literal["table", "json", "yaml", "name"], typer.Option("--output", "-o", help="Output format.")
    ] = "table",
    timeout: Timeout = HALF_A_MINUTE,
    local: Local = False,
) -> None:
    """List the tools of an MCP server."""
    resource_name(name)
    target = choose(context, local)
    ref = Ref("MCPServer", namespace_of(target, namespace), name)
    found = converse(target.mcp_url(ref), target.headers(ref), timeout, _list)
    if output in ("json", "yaml"):
        show(found, output)
    elif not found:
        talk(f"{ref} has no tools")
    elif output == "name":
        emit("\n".join(tool["name"] for tool in found))
    else:
        rows = [
            [signature(tool["name"], tool["inputSchema"], tool.get("outputSchema")), _first_line(tool)]
            for tool in found
        ]
        emit(table([], rows))


async def _list(client: Client[Any]) -> list[dict[str, Any]]:
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]


def _first_line(tool: dict[str, Any]) -> str:
    return next(iter((tool.get("description") or "").strip().splitlines()), "")
