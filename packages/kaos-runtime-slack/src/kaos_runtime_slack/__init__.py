"""The runtime `slack`: Slack messaging as tools, by the image of zencoderai/slack-mcp-server (C5)."""

from __future__ import annotations

from kaos_core.plugin import Local, Runtime, hookimpl

VERSION = "0.0.1"


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """One entry. `args` and not `command`, which would replace the image's entrypoint; it always asks for a token."""
    return [
        Runtime(
            name="slack",
            type="nodejs",
            image=f"docker.io/zencoderai/slack-mcp:{VERSION}",
            description="Slack messaging integration",
            args=("--transport", "http", "--port", "{port}"),
            required_env=("SLACK_BOT_TOKEN", "SLACK_TEAM_ID"),
            source="zencoderai/slack-mcp-server",
            health="/health",
            ready="/health",
            token_env="AUTH_TOKEN",  # noqa: S106 the name of a variable
            binds_all=True,
            local=Local(command=("npx", "-y", f"@zencoderai/slack-mcp-server@{VERSION}"), requires="npx"),
            docs_url="https://github.com/zencoderai/slack-mcp-server",
        )
    ]
