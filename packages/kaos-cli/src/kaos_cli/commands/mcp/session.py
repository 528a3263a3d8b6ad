"""One conversation with an MCP server: connect, do something, and name whatever goes wrong by its exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kaos_cli.errors import AuthError, CommandError, TimedOutError, ToolFailedError, UnreachableError

if TYPE_CHECKING:
    from fastmcp import Client

CONNECT_SECONDS = 10.0

T = TypeVar("T")


def converse(url: str, headers: Mapping[str, str], seconds: float, work: Callable[[Client[Any]], Awaitable[T]]) -> T:
    """Run `work` with a connected client.

    Raises:
        UnreachableError: nothing answers at the URL. AuthError: 401 or 403. TimedOutError: the `seconds` are over.
        ToolFailedError: the server answers with an MCP error.
    """
    statuses: list[int] = []
    try:
        return asyncio.run(_converse(url, headers, seconds, work, statuses))
    except CommandError:
        raise
    except Exception as error:
        raise _told(url, error, statuses, seconds) from error


async def _converse(
    url: str,
    headers: Mapping[str, str],
    seconds: float,
    work: Callable[[Client[Any]], Awaitable[T]],
    statuses: list[int],
) -> T:
    import logging

    import httpx2
    from fastmcp import Client
    from fastmcp.client.transports import StreamableHttpTransport

    # What goes wrong is told once, as our error; the libraries' own log lines would come on top.
    for name in ("fastmcp", "mcp", "httpx2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    async def remember(response: httpx2.Response) -> None:
        statuses.append(response.status_code)

    def http_client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
        **settings: Any,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=headers,
            auth=auth,
            # The library's own default would cut off a tool that thinks for more than five seconds.
            timeout=timeout or httpx2.Timeout(seconds),
            event_hooks={"response": [remember]},
            # A proxy of the environment has no way back to this machine.
            trust_env=urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"),
            **settings,
        )

    transport = StreamableHttpTransport(url, headers=dict(headers), httpx_client_factory=http_client)
    async with (
        asyncio.timeout(seconds),
        Client(transport, timeout=seconds, init_timeout=min(CONNECT_SECONDS, seconds)) as client,
    ):
        return await work(client)


def _told(url: str, error: Exception, statuses: list[int], seconds: float) -> CommandError:
    from mcp import MCPError

    refused = next((status for status in statuses if status in (401, 403)), None)
    if refused:
        return AuthError(f"{url} answered {refused}", hint="the server wants a token")
    if isinstance(error, TimeoutError):
        return TimedOutError(f"{url} did not answer within {seconds:g}s", hint="--timeout gives it longer")
    if isinstance(error, MCPError):
        return ToolFailedError(f"{url}: {error}")
    detail = str(error).removeprefix("Client failed to connect: ") or type(error).__name__
    return UnreachableError(f"{url} cannot be reached: {detail}")
