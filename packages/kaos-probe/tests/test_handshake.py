"""The handshake with servers that behave, and with those that do not."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kaos_probe import handshake
from kaos_probe.bounded import MAX_BYTES

MCP_SERVER = Path(__file__).parent / "programs" / "mcp_server.py"


def ask(url, **options):
    return asyncio.run(handshake(url, **{"timeout": 20, **options}))


@contextlib.contextmanager
def serving(answer):
    """A server that gives every request to `answer(handler)`; its address and the requests it saw."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append(self)
            # The client may go away whenever it has seen enough.
            with contextlib.suppress(ConnectionError):
                answer(self)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mcp_server():
    """Start `programs/mcp_server.py`; the URL of its endpoint."""
    with contextlib.ExitStack() as started:

        def start(transport, path):
            argv = [sys.executable, str(MCP_SERVER), transport, path]
            process = started.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
            started.callback(process.kill)
            # The port listens from here on; requests wait for the server behind it.
            return f"http://127.0.0.1:{int(process.stdout.readline())}{path}"

        yield start


@pytest.mark.parametrize("transport", ["auto", "streamable-http"])
def test_a_server_tells_who_it_is_and_its_tools_in_its_order(mcp_server, transport):
    found = ask(mcp_server("http", "/mcp"), transport=transport)

    assert found.outcome == "ok"
    assert (found.server_name, found.server_version) == ("tested", "1.2.3")
    assert found.transport == "streamable-http"
    assert found.tools == ("subtract", "add")
    assert found.capabilities[0] == "tools"
    assert found.protocol_version


@pytest.mark.parametrize("transport", ["auto", "sse"])
def test_a_server_of_the_older_transport_is_found_too(mcp_server, transport):
    found = ask(mcp_server("sse", "/sse"), transport=transport)

    assert (found.outcome, found.transport, found.tools) == ("ok", "sse", ("subtract", "add"))


def test_a_server_that_wants_credentials_is_told_apart_and_gets_none():
    def refuse(handler):
        handler.send_response(401)
        handler.send_header("www-authenticate", "Bearer")
        handler.send_header("content-length", "0")
        handler.end_headers()

    with serving(refuse) as (url, seen):
        found = ask(url)

    assert (found.outcome, found.tools) == ("auth", None)
    assert not [handler for handler in seen if "authorization" in handler.headers]


def test_no_redirect_is_followed():
    with serving(lambda handler: handler.send_error(500)) as (elsewhere, reached):

        def redirect(handler):
            handler.send_response(307)
            handler.send_header("location", elsewhere)
            handler.send_header("content-length", "0")
            handler.end_headers()

        with serving(redirect) as (url, _):
            found = ask(url)

    assert found.outcome == "redirected"
    assert elsewhere in found.message
    assert reached == []


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_an_answer_without_end_is_not_read_to_its_end(content_type):
    """F28."""
    sent = []

    def stream(handler):
        handler.send_response(200)
        handler.send_header("content-type", content_type)
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(b": " + b"x" * 8190 + b"\n\n"))

    with serving(stream) as (url, _):
        found = ask(url, transport="streamable-http")

    assert found.outcome == "too-large"
    # What the sockets' buffers hold comes on top.
    assert sum(sent) < 16 * MAX_BYTES


def test_a_server_that_never_answers_costs_its_budget_and_no_more():
    """F27."""
    over = threading.Event()
    with serving(lambda _: over.wait()) as (url, _):
        found = ask(url, timeout=0.5)
        over.set()

    assert found.outcome == "timeout"
    assert "0.5 s" in found.message


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b'{"jsonrpc": "2.0", "id": 1, "result": 5}'])
def test_what_is_no_mcp_server_is_failed_and_not_an_error(body):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serving(answer) as (url, _):
        found = ask(url, transport="streamable-http", timeout=3)

    assert found.outcome in ("failed", "timeout")
    assert found.message


def test_nobody_there_is_failed():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, but nobody listens
        found = ask(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp")

    assert found.outcome == "failed"
