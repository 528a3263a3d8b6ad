"""`kaos schema`: the kinds there are, each as JSON schema for editors or as CustomResourceDefinition for a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from kaos_cli.errors import UsageError
from kaos_cli.names import shown
from kaos_cli.output import emit, json_text, table, yaml_text

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: kaos schema MCPServer > mcpserver.schema.json")
def schema(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]", help="Kind, plural or short name; without one, the kinds are listed.", show_default=False
        ),
    ] = None,
    crd: Annotated[bool, typer.Option("--crd", help="Print the CustomResourceDefinition as YAML.")] = False,
) -> None:
    """Print the schema of a kind, for editors and clusters."""
    from kaos_core import crd as definitions
    from kaos_core.manifests.names import API_VERSION
    from kaos_core.plugins import Plugins

    kinds = Plugins.installed().kinds()
    if kind is None and crd:
        emit("---\n".join(yaml_text(definitions.crd(item)) for item in kinds.values()))
        return
    if kind is None:
        emit(
            table(
                ["KIND", "APIVERSION", "PLURAL", "SHORTNAMES"],
                [[item.name, API_VERSION, item.plural, ",".join(item.short_names)] for item in kinds.values()],
            )
        )
        return
    found = next(
        (item for item in kinds.values() if kind.lower() in (item.name.lower(), item.plural, *item.short_names)), None
    )
    if found is None:
        raise UsageError(f"unknown kind {shown(kind)}", hint=f"kinds: {', '.join(kinds)}")
    emit(yaml_text(definitions.crd(found)) if crd else json_text(definitions.json_schema(found)))
