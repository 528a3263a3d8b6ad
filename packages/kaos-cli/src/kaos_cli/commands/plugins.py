"""`kaos plugins`: what is installed beside the core, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kaos_cli.offer import lenient
from kaos_cli.output import emit, show, table

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, epilog="Example: kaos plugins list"
)


@app.callback()
def plugins() -> None:
    """Show the installed plugins."""


@app.command("list", epilog="Example: kaos plugins list -o json")
def list_plugins(
    output: Annotated[
        Literal["table", "json", "yaml", "name"], typer.Option("--output", "-o", help="Output format.")
    ] = "table",
) -> None:
    """List plugins with what each adds; each is imported, and a broken one shows why it is."""
    from kaos_core.plugins import Plugins

    infos = Plugins.installed(lenient()).infos()
    if output == "name":
        emit("\n".join(info.name for info in infos))
        return
    if output != "table":
        show(
            [
                {
                    "name": info.name,
                    "distribution": info.distribution,
                    "version": info.version,
                    "status": "failed" if info.failure else "ok",
                    "runtimes": list(info.runtimes),
                    "hooks": list(info.hooks),
                    "commands": list(info.commands),
                    "failure": info.failure,
                }
                for info in infos
            ],
            output,
        )
        return
    header = ["NAME", "VERSION", "STATUS", "RUNTIMES", "HOOKS", "COMMANDS"]
    broken = any(info.failure for info in infos)
    rows = [
        [
            info.name,
            info.version or "-",
            "failed" if info.failure else "ok",
            ",".join(info.runtimes) or "-",
            ",".join(hook.removeprefix("kaos_") for hook in info.hooks) or "-",
            ",".join(info.commands) or "-",
            *([info.failure or "-"] if broken else []),
        ]
        for info in infos
    ]
    emit(table([*header, "FAILURE"] if broken else header, rows))
