"""`kaos mcp`: MCP servers by the commands of the proposal, one module each."""

from __future__ import annotations

import typer

from kaos_cli.commands.mcp.crud import delete, get, list_servers, logs
from kaos_cli.commands.mcp.deploy import deploy
from kaos_cli.commands.mcp.invoke import invoke
from kaos_cli.commands.mcp.tools import tools

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, epilog="Example: kaos mcp list --local"
)


@app.callback()
def mcp() -> None:
    """Deploy, call and look after MCP servers."""


app.command(epilog="Example: kaos mcp deploy my-tools --runtime rawpython --params @tools.py --local --wait")(deploy)
app.command("list", epilog="Example: kaos mcp list -n agents")(list_servers)
app.command(epilog="Example: kaos mcp get my-tools -n agents")(get)
app.command(epilog="Example: kaos mcp logs my-tools -n agents --follow")(logs)
app.command(epilog="Example: kaos mcp delete my-tools -n agents")(delete)
app.command(epilog="Example: kaos mcp tools my-tools --local")(tools)
app.command(epilog="Example: kaos mcp invoke my-tools add a=2 b=3 --local")(invoke)
