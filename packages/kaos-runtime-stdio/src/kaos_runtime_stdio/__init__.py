"""The runtimes `discord` and `fetch`: servers that speak stdio, and so need the adapter (C7)."""

from __future__ import annotations

from kaos_core.plugin import Local, Runtime, hookimpl
from kaos_core.settings import image

IMAGE = image("kaos-mcp-stdio")
"""The adapter's image, which brings the servers in."""


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """Two entries with `transport: stdio`: resolved as UnsupportedTransport where no adapter is installed."""
    return [
        Runtime(
            name="discord",
            type="python",
            image=IMAGE,
            description="Discord messaging integration",
            transport="stdio",
            required_env=("DISCORD_TOKEN",),
            source="hanweg/mcp-discord",
            local=Local(command=("uvx", "mcp-discord"), requires="uvx"),
            docs_url="https://github.com/hanweg/mcp-discord",
        ),
        Runtime(
            name="fetch",
            type="python",
            image=IMAGE,
            description="Web content fetching",
            transport="stdio",
            source="modelcontextprotocol/servers",
            local=Local(command=("uvx", "mcp-server-fetch"), requires="uvx"),
            docs_url="https://github.com/modelcontextprotocol/servers",
        ),
    ]
