"""One MCP handshake with a server -> `Handshake`. Bounded in time and size, follows no redirect, knows no target.

A server that cannot be reached, refuses or talks nonsense is a result, not an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kaos_core.observed import Handshake

if TYPE_CHECKING:
    from kaos_probe.bounded import Seen

Transport = Literal["auto", "streamable-http", "sse"]
MAX_TOOLS = 1000
_MAX_MESSAGE = 300
_CAPABILITIES = ("tools", "resources", "prompts")


async def handshake(
    url: str, *, timeout: float, headers: Mapping[str, str] | None = None, transport: Transport = "auto"
) -> Handshake:
    """Ask a server who it is and which tools it has.

    Args:
        url: of the MCP endpoint.
        timeout: seconds for the whole of it.
        headers: sent with every request; credentials do not belong here.
        transport: `auto` tries streamable HTTP, then SSE.
    """
    kinds: tuple[Literal["streamable-http", "sse"], ...] = (
        ("streamable-http", "sse") if transport == "auto" else (transport,)
    )
    first: Handshake | None = None
    try:
        async with asyncio.timeout(timeout):
            for kind in kinds:
                answer = await _attempt(url, kind, dict(headers or {}), timeout)
                if answer.outcome != "failed":
                    return answer
                first = first or answer
    except TimeoutError:
        return first or Handshake("timeout", f"{url} did not answer the MCP handshake within {timeout:g} s")
    assert first is not None  # noqa: S101  # there is at least one kind, and each gives an answer
    return first


async def _attempt(
    url: str, kind: Literal["streamable-http", "sse"], headers: dict[str, str], timeout: float
) -> Handshake:
    from fastmcp import Client
    from fastmcp.client.transports import SSETransport, StreamableHttpTransport

    from kaos_probe.bounded import Seen, bounded_client

    seen = Seen()
    make: Any = SSETransport if kind == "sse" else StreamableHttpTransport
    try:
        async with Client(
            make(url, headers=headers, httpx_client_factory=partial(bounded_client, seen)),
            timeout=timeout,
            init_timeout=timeout,
        ) as client:
            capabilities = tuple(
                name for name in _CAPABILITIES if getattr(client.server_capabilities, name, None) is not None
            )
            info = client.server_info
            tools = [tool.name for tool in await client.list_tools()] if "tools" in capabilities else []
            return Handshake(
                "ok",
                transport=kind,
                protocol_version=str(client.protocol_version or ""),
                server_name=info.name if info else "",
                server_version=(info.version or "") if info else "",
                capabilities=capabilities,
                tools=tuple(tools[:MAX_TOOLS]),
            )
    except Exception as error:  # noqa: BLE001  # whatever a strange server provokes in the client is its answer
        return _failed(url, kind, seen, error)


def _failed(url: str, kind: str, seen: Seen, error: BaseException) -> Handshake:
    from kaos_probe.bounded import MAX_BYTES

    if seen.too_large:
        return Handshake("too-large", f"{url} sent more than {MAX_BYTES:,} bytes in the MCP handshake")
    if any(status in (401, 403) for status in seen.statuses):
        return Handshake(
            "auth",
            f"{url} asks for credentials (HTTP {seen.statuses[-1]})",
            transport="sse" if kind == "sse" else "streamable-http",
        )
    if seen.location:
        return Handshake("redirected", f"{url} redirects to {seen.location[:_MAX_MESSAGE]}; redirects are not followed")
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
        return Handshake("timeout", f"{url} did not answer the MCP handshake in time")
    status = f" (HTTP {seen.statuses[-1]})" if seen.statuses and seen.statuses[-1] >= 400 else ""
    words = " ".join(str(error).split())[:_MAX_MESSAGE] or type(error).__name__
    if "unsupported protocol" in words.lower():
        return Handshake("unsupported", f"{url}: {words}")
    return Handshake("failed", f"{url} does not answer as an MCP server{status}: {words}")
