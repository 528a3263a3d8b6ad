"""`kaos version`: which version this is, and with `-o json` which plugins stand beside it; no network is asked."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kaos_cli.output import emit, show

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: kaos version -o json")
def version(
    output: Annotated[Literal["text", "json", "yaml"], typer.Option("--output", "-o", help="Output format.")] = "text",
) -> None:
    """Show the version."""
    if output == "text":
        emit(f"kaos {cli_version()}")
        return
    from importlib.metadata import entry_points

    from kaos_core.hookspecs import GROUP

    found = {(point.dist.name, point.dist.version) for point in entry_points(group=GROUP) if point.dist}
    show(
        {"cli": cli_version(), "plugins": [{"name": name, "version": number} for name, number in sorted(found)]}, output
    )


def cli_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import version as installed

    return installed("kaos-tools-cli")
