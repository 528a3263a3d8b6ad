"""An MCP server of the user's own: `server.py PORT [sse PATH | locked]`."""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import StaticTokenVerifier

port, how = int(sys.argv[1]), sys.argv[2]
locked = StaticTokenVerifier({"secret": {"client_id": "someone", "scopes": []}}) if how == "locked" else None
server = FastMCP("of the user", version="3.2.1", auth=locked)


@server.tool
def search(query: str) -> str:
    """Search."""
    return query


if how == "sse":
    server.run(transport="sse", host="127.0.0.1", port=port, path=sys.argv[3], show_banner=False)
else:
    server.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
