"""What runs in the pod."""

from __future__ import annotations

import os
import sys

from fastmcp import FastMCP

mcp = FastMCP("shout")


@mcp.tool
def shout(text: str) -> str:
    """Say it aloud."""
    return f"{os.environ.get('SHOUT_NAME', '')}{text.upper()}{os.environ.get('SHOUT_TAIL', '')}"


if __name__ == "__main__":
    mcp.run("http", host="0.0.0.0", port=int(sys.argv[1]), show_banner=False)  # a pod's own address
