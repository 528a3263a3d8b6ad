"""What runs. The hooks never import it, so FastMCP costs `kaos` nothing."""

import os
import sys

from fastmcp import FastMCP

mcp = FastMCP("echo")


@mcp.tool
def echo(text: str) -> str:
    """Say the text back."""
    return os.environ.get("ECHO_PREFIX", "") + text


if __name__ == "__main__":
    # "auto" refuses requests under a foreign Host or Origin, so that no web page reaches a server on this machine.
    mcp.run("http", host="127.0.0.1", port=int(sys.argv[1]), host_origin_protection="auto", show_banner=False)
