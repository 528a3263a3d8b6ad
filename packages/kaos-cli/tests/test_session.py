"""Talking to MCP servers: whatever goes wrong has its exit code, and no proxy is asked about loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from kaos_cli.commands.mcp.session import converse
from kaos_cli.errors import AuthError, TimedOutError, ToolFailedError, UnreachableError


class Answering(BaseHTTPRequestHandler):
    """A server that answers every request with one status and remembers what it was asked."""

    status: ClassVar[int] = 500
    tokens: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.tokens.append(self.headers.get("Authorization"))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_DELETE = do_POST

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture
def answering() -> Iterator[tuple[str, type[Answering]]]:
    handler = type("Handler", (Answering,), {"tokens": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/mcp", handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tools() -> Iterator[str]:
    """A FastMCP server with a tool that takes its time."""
    import uvicorn
    from fastmcp import FastMCP

    server: FastMCP[Any] = FastMCP("tools")

    @server.tool
    async def wait(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # At once: a client that comes before the server has started waits, instead of being refused.
    listener.listen()
    settings = uvicorn.Config(server.http_app(), log_level="critical", timeout_graceful_shutdown=0)
    running = uvicorn.Server(settings)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    running.should_exit = True
    thread.join()
    listener.close()


async def names(client: Any) -> list[str]:
    return [tool.name for tool in await client.list_tools()]


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/mcp"
        with pytest.raises(UnreachableError, match=f"^{url} cannot be reached: "):
            converse(url, {}, 10, names)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_client_is_an_auth_error(answering: tuple[str, type[Answering]], status: int) -> None:
    url, handler = answering
    handler.status = status
    with pytest.raises(AuthError, match=f"{url} answered {status}"):
        converse(url, {"Authorization": "Bearer t"}, 10, names)
    assert set(handler.tokens) == {"Bearer t"}


def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises((TimedOutError, UnreachableError)):
            converse(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp", {}, 0.5, names)


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    tools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert converse(tools, {}, 30, names) == ["wait"]


def test_a_tool_that_takes_too_long_times_out(tools: str) -> None:
    async def call(client: Any) -> Any:
        return await client.call_tool("wait", {"seconds": 30})

    with pytest.raises(TimedOutError, match="did not answer within 1s"):
        converse(tools, {}, 1, call)


def test_an_answer_of_the_protocol_that_is_an_error_is_a_tool_error(tools: str) -> None:
    async def call(client: Any) -> Any:
        return await client.read_resource("no://such")

    with pytest.raises(ToolFailedError):
        converse(tools, {}, 30, call)
