"""A FastMCP server for the tests: `mcp_server.py PORT TRANSPORT [PATH]`."""

import os
import sys

from fastmcp import Context, FastMCP

server = FastMCP("tested", version="1.2.3")


@server.tool
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool
async def steps(ctx: Context) -> str:
    """Report progress, then answer."""
    for step in range(3):
        await ctx.report_progress(step, 3)
    return "done"


@server.tool
def die() -> str:
    """End the server in the middle of a call."""
    os._exit(9)


server.run(
    transport=sys.argv[2],
    host="127.0.0.1",
    port=int(sys.argv[1]),
    path=sys.argv[3] if len(sys.argv) > 3 else None,
    show_banner=False,
    log_level="ERROR",
)
