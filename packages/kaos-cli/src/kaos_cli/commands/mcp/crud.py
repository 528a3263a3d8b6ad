"""`kaos mcp list|get|logs|delete`: what `kubectl` prints for the same, without it (S4.85 to S4.88)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kaos_cli.columns import printed
from kaos_cli.names import resource_name
from kaos_cli.options import AllNamespaces, Local, Name, Namespace, Output
from kaos_cli.output import emit, json_text, name_of, show, talk, yaml_text
from kaos_cli.target import Ref
from kaos_cli.targets import choose, namespace_of

KIND = "MCPServer"


def list_servers(
    context: typer.Context,
    namespace: Namespace = None,
    everywhere: AllNamespaces = False,
    output: Output = "table",
    local: Local = False,
) -> None:
    """List MCP servers."""
    target = choose(context, local)
    wanted = None if everywhere else namespace_of(target, namespace)
    found = target.list(KIND, wanted)
    if output in ("json", "yaml"):
        show(found, output)
    elif not found:
        talk(f"No resources found in {wanted} namespace." if wanted else "No resources found")
    elif output == "name":
        emit("\n".join(name_of(resource) for resource in found))
    else:
        emit(printed(KIND, found, wide=output == "wide", namespaces=everywhere))


def get(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    output: Annotated[
        Literal["yaml", "json", "table", "wide", "name"], typer.Option("--output", "-o", help="Output format.")
    ] = "yaml",
    local: Local = False,
) -> None:
    """Show one MCP server with its status."""
    resource_name(name)
    target = choose(context, local)
    resource = target.get(Ref(KIND, namespace_of(target, namespace), name))
    if output == "yaml":
        emit(yaml_text(resource, sort_keys=True))
    elif output == "json":
        emit(json_text(resource))
    elif output == "name":
        emit(name_of(resource))
    else:
        emit(printed(KIND, [resource], wide=output == "wide", namespaces=False))


def logs(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what comes.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, metavar="N", help="Only the last N lines.", show_default="all")
    ] = None,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the run before this one.")] = False,
    local: Local = False,
) -> None:
    """Print the log of an MCP server."""
    resource_name(name)
    target = choose(context, local)
    for line in target.logs(
        Ref(KIND, namespace_of(target, namespace), name), follow=follow, tail=tail, previous=previous
    ):
        emit(line, at_once=follow)


def delete(context: typer.Context, name: Name, namespace: Namespace = None, local: Local = False) -> None:
    """Delete an MCP server and wait until it is gone."""
    resource_name(name)
    target = choose(context, local)
    target.delete(Ref(KIND, namespace_of(target, namespace), name))
    emit(f'mcpserver.kaos.tools "{name}" deleted')
