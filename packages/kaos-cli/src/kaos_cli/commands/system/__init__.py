"""`kaos system`: what this installation offers."""

from __future__ import annotations

import typer

from kaos_cli.commands.system.runtimes import runtimes

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, epilog="Example: kaos system runtimes"
)


@app.callback()
def system() -> None:
    """Show what this installation offers."""


app.command(epilog="Example: kaos system runtimes -o wide")(runtimes)
