"""The HTTP front: a FastMCP server whose tools forward to the pool, and the plain routes beside `/mcp`."""

from __future__ import annotations

import asyncio
import difflib
import importlib.metadata
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastmcp import FastMCP  # noqa: TID253  # the server's side: only the server imports this module
from fastmcp.exceptions import ToolError  # noqa: TID253  # as above
from fastmcp.tools import Tool, ToolResult  # noqa: TID253  # as above
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, PrivateAttr, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kaos_runtime_rawpython.config import Config
from kaos_runtime_rawpython.hosts import HostGuard
from kaos_runtime_rawpython.pool import Answer, Pool
from kaos_runtime_rawpython.posts import JsonPosts

PATH = "/mcp"
MAX_BODY = 4 << 20
"""Bytes of a POST to /mcp/tools; the MCP SDK has the same limit on /mcp."""
_STATUS = {"unknown": 404, "arguments": 422, "tool": 500, "timeout": 504}


class ForwardedTool(Tool):
    """What the front knows of a tool; running it is the pool's."""

    _call: Callable[[str, dict[str, Any]], Awaitable[Answer]] = PrivateAttr()

    @classmethod
    def of(cls, report: dict[str, Any], pool: Pool) -> ForwardedTool:
        """From the report of a worker."""
        annotations = ToolAnnotations.model_validate(report["annotations"]) if report["annotations"] else None
        tool = cls(
            name=report["name"],
            title=report["title"],
            description=report["description"],
            parameters=report["parameters"],
            output_schema=report["output_schema"],
            annotations=annotations,
        )
        tool._call = pool.call
        return tool

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Forward the call.

        Raises:
            ToolError: whatever went wrong, in the words for the caller.
        """
        answer = await self._call(self.name, arguments)
        if "error" in answer:
            # The worker or the pool has written its line already.
            raise ToolError(answer["error"]["message"], log_level=logging.DEBUG)
        return ToolResult.from_mcp_result(CallToolResult.model_validate(answer["result"]))


class Invocation(BaseModel):
    """The body of POST /mcp/tools."""

    tool: str
    arguments: dict[str, Any] = {}


def build_app(config: Config, pool: Pool) -> ASGIApp:
    """The ASGI application; tools appear in it when `pool.loaded` is done."""
    server = FastMCP(
        config.name,
        version=importlib.metadata.version("kaos-runtime-rawpython"),
        mask_error_details=True,
    )

    def publish(_: object) -> None:
        for report in pool.tools.values():
            server.add_tool(ForwardedTool.of(report, pool))

    pool.loaded.add_done_callback(publish)
    # Else the SDK lists all tools before each call, to compare one tool's schema with the request's headers.
    server._mcp_server.get_tool_input_schema = lambda name: (
        pool.tools[name]["parameters"] if name in pool.tools else None
    )
    _add_routes(server, pool)
    # Stateless and JSON: any replica can answer any request, and curl shows a plain object.
    app = server.http_app(
        path=PATH,
        stateless_http=True,
        json_response=True,
        host_origin_protection=False,
    )

    async def when_loaded(scope: Scope, receive: Receive, send: Send) -> None:
        # An empty list of tools, while the code is being loaded, would be a lie.
        if not pool.loaded.done() and scope["type"] == "http" and scope["path"] == PATH:
            await _loaded(pool)
        await app(scope, receive, send)

    return HostGuard(JsonPosts(when_loaded, PATH), config.allowed_hosts)


async def _loaded(pool: Pool) -> None:
    """Wait until the code is loaded; if it cannot be, the server is about to end and there are no tools."""
    await asyncio.wait([pool.loaded])


def _add_routes(server: FastMCP, pool: Pool) -> None:
    @server.custom_route("/health", methods=["GET"])
    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @server.custom_route("/ready", methods=["GET"])
    async def ready(_: Request) -> JSONResponse:
        if await pool.answers():
            return JSONResponse({"ready": True, "tools": list(pool.tools)})
        reason = pool.why_not_ready or "the tools' process does not answer; a fresh one is being started"
        return JSONResponse({"ready": False, "reason": reason}, status_code=503)

    @server.custom_route(f"{PATH}/tools", methods=["GET"])
    async def list_tools(_: Request) -> JSONResponse:
        await _loaded(pool)
        keys = {"name": "name", "description": "description", "inputSchema": "parameters"}
        return JSONResponse(
            {"tools": [{key: tool[ours] for key, ours in keys.items()} for tool in pool.tools.values()]}
        )

    @server.custom_route(f"{PATH}/tools", methods=["POST"])
    async def call_tool(request: Request) -> JSONResponse:
        await _loaded(pool)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return JSONResponse({"error": f"the body is larger than {MAX_BODY:,} bytes"}, status_code=413)
        try:
            invocation = Invocation.model_validate_json(bytes(body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "body"
            message = f'{where[:60]}: {first["msg"][:200]}; send {{"tool": NAME, "arguments": {{…}}}}'
            return JSONResponse({"error": message}, status_code=400)
        if invocation.tool not in pool.tools:
            return JSONResponse({"error": _unknown(invocation.tool, list(pool.tools))}, status_code=404)
        answer = await pool.call(invocation.tool, invocation.arguments)
        if "error" in answer:
            return JSONResponse(
                {"error": answer["error"]["message"]}, status_code=_STATUS.get(answer["error"]["kind"], 500)
            )
        return JSONResponse({"result": _bare(answer["result"])})


def _unknown(name: str, tools: list[str]) -> str:
    near = difflib.get_close_matches(name[:60], tools, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(tools[:10])}"
    return f"unknown tool {name[:60]!r}; {hint}"


def _bare(result: dict[str, Any]) -> Any:
    """What the function returned, as far as the protocol's form of it tells."""
    structured = result.get("structuredContent")
    if structured is not None:
        wrapped = ((result.get("_meta") or {}).get("fastmcp") or {}).get("wrap_result")
        return structured.get("result") if wrapped else structured
    content = result.get("content") or []
    if not content:
        return None
    texts = [block["text"] for block in content if block.get("type") == "text"]
    return texts[0] if len(content) == len(texts) == 1 else content
