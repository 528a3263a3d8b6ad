"""A FastMCP server for the tests: `mcp_server.py TRANSPORT PATH`. Prints its port once that is listened on."""

import socket
import sys

import uvicorn
from fastmcp import FastMCP

server = FastMCP("tested", version="1.2.3")


@server.tool
def subtract(a: int, b: int) -> int:
    """Take one from the other."""
    return a - b


@server.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    app = server.http_app(path=sys.argv[2], transport=sys.argv[1])
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
