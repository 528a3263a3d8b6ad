"""The routes beside /mcp, and what HTTP refuses before MCP is reached."""

import contextlib
import http.client
import json
import threading

import httpx2
import pytest

CODE = '''
import asyncio, os, time
def echo(text: str) -> str:
    """Echo."""
    return text
def pair(a: int) -> dict:
    """x"""
    return {"a": a}
def items(count: int) -> list[int]:
    """x"""
    return list(range(count))
def untyped(value):
    return value
def fails() -> str:
    """x"""
    raise ValueError("hidden")
def hangs() -> str:
    """x"""
    time.sleep(1e9)
'''
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}
SERVICE = "mcpserver-x,mcpserver-x.ns,mcpserver-x.ns.svc,mcpserver-x.ns.svc.cluster.local"


@pytest.fixture(scope="module")
def server(shared):
    return shared(
        CODE,
        MCP_TOOL_TIMEOUT="3",
        KAOS_SERVICE_HOSTS=SERVICE,
        KAOS_GATEWAY_HOSTS="tools.example, second.example",
        POD_IP="10.1.2.3",
    ).until_ready()


def raw(server, method, path, headers, body=b""):
    """A request with exactly these headers, also twice the same: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in [*headers, ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def test_health_and_ready_answer(server):
    """S1.28, S1.29."""
    assert server.request("GET", "/health").json() == {"status": "ok"}
    assert server.request("GET", "/ready").json()["ready"] is True


def test_while_the_code_loads_the_server_is_healthy_and_not_ready_and_mcp_waits(start, tmp_path):
    mark = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(mark)!r}):\n    time.sleep(0.01)\n"
    server = start(f"{wait}def f() -> int:\n    return 1\n")
    while server.wait(0.02) is None:
        with contextlib.suppress(httpx2.ConnectError):
            assert server.request("GET", "/health").status_code == 200
            break
    ready = server.request("GET", "/ready")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "reason": "the code is being loaded"}
    threading.Timer(0.3, mark.touch).start()
    assert server.call("f").data == 1


def test_the_list_of_tools(server):
    """S1.30."""
    tools = server.request("GET", "/mcp/tools").json()["tools"]
    assert [tool["name"] for tool in tools] == ["echo", "pair", "items", "untyped", "fails", "hangs"]
    assert tools[0]["description"] == "Echo."
    assert tools[0]["inputSchema"]["properties"] == {"text": {"type": "string"}}


@pytest.mark.parametrize(
    ("tool", "arguments", "result"),
    [
        ("echo", {"text": "Hello"}, "Hello"),
        ("pair", {"a": 1}, {"a": 1}),
        ("items", {"count": 3}, [0, 1, 2]),
        ("items", {"count": 0}, []),
        ("untyped", {"value": {"deep": [1]}}, {"deep": [1]}),
    ],
)
def test_a_tool_can_be_called_with_plain_json(server, tool, arguments, result):
    """S1.31."""
    answer = server.request("POST", "/mcp/tools", json={"tool": tool, "arguments": arguments})
    assert (answer.status_code, answer.json()) == (200, {"result": result})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "send"),
        (b"[]", 400, "send"),
        (b'{"arguments": {}}', 400, "tool"),
        (b'{"tool": "echo", "arguments": []}', 400, "arguments"),
        (b'{"tool": "ecko"}', 404, "did you mean 'echo'?"),
        (b'{"tool": "__import__"}', 404, "there is: echo"),
        (b'{"tool": "echo", "arguments": {"text": 5}}', 422, "text"),
        (b'{"tool": "fails"}', 500, "Error calling tool 'fails': ValueError"),
        (b'{"tool": "hangs"}', 504, "timed out after 3 s"),
        (b'{"tool": "echo", "arguments": {"text": "' + b"x" * (4 << 20) + b'"}}', 413, "4,194,304 bytes"),
    ],
    ids=[
        "no json",
        "list",
        "no tool",
        "arguments",
        "near name",
        "far name",
        "wrong type",
        "raises",
        "hangs",
        "too large",
    ],
)
def test_each_way_to_fail_has_its_status_and_says_why(server, body, status, message):
    answer = server.request("POST", "/mcp/tools", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "10.1.2.3:8000", "mcpserver-x:8000",
        "mcpserver-x.ns", "mcpserver-x.ns.svc:80", "mcpserver-x.ns.svc.cluster.local:8000",
        "mcpserver-x.ns.svc.cluster.local.", "tools.example", "second.example:443",
    ],
)  # fmt: skip
def test_the_servers_own_names_are_served_with_any_port(server, host):
    """B58."""
    headers = [
        ("Host", host),
        ("Content-Type", "application/json"),
        ("Accept", ACCEPT["Accept"]),
        ("Origin", f"http://{host}"),
    ]
    status, _, body = raw(server, "POST", "/mcp", headers, json.dumps(INITIALIZE).encode())
    assert status == 200
    assert json.loads(body)["result"]["serverInfo"]["name"] == "RawPython MCP Server"


@pytest.mark.parametrize("path", ["/mcp", "/health", "/ready", "/mcp/tools", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example")],
        [("Host", "localhost.evil.example")],
        [("Host", "evil.example@localhost")],
        [("Host", "xmcpserver-x.ns.svc")],
        [("Host", "")],
        [("Host", "localhost:x")],
    ],
    ids=["foreign", "suffix", "user", "prefix", "empty", "port"],
)
def test_a_foreign_host_is_421_on_every_route(server, path, headers):
    """B58."""
    status, _, body = raw(server, "GET", path, headers)
    assert status == 421
    assert "KAOS_GATEWAY_HOSTS" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("path", ["/mcp", "/health", "/mcp/tools"])
@pytest.mark.parametrize(
    "origins",
    [
        ["http://evil.example"],
        ["null"],
        ["http://localhost", "http://localhost"],
        ["http://localhost", "http://evil.example"],
        ["localhost"],
    ],
)
def test_a_foreign_null_or_second_origin_is_403_without_an_id(server, path, origins):
    """B57."""
    headers = [("Host", "localhost"), ("Content-Type", "application/json"), *(("Origin", origin) for origin in origins)]
    status, shown, body = raw(server, "POST", path, headers, json.dumps(INITIALIZE).encode())
    assert status == 403
    assert shown["content-type"] == "application/json"
    error = json.loads(body)
    assert error["jsonrpc"] == "2.0"
    assert "id" not in error


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        {"MCP-Protocol-Version": "2026-07-28"},
        {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "x"},
        {"Accept": "text/event-stream"},
    ],
    ids=["modern", "session", "no version"],
)
def test_a_method_that_mcp_lacks_is_405_and_allow_names_post_alone(server, method, headers):
    """B59: there are no sessions to end and no stream to get, in either era."""
    answer = server.request(method, "/mcp", headers={**ACCEPT, "Content-Type": "application/json", **headers})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    error = answer.json()
    assert "id" not in error
    assert "use POST" in error["error"]["message"]


def test_one_call_with_curl_needs_no_session(server):
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "hi"}}}
    answer = server.request("POST", "/mcp", json=body, headers=ACCEPT)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["content"] == [{"type": "text", "text": "hi"}]


MODERN = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": MODERN}
HEADERS = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}


def test_a_modern_request_by_hand_is_answered(server):
    assert len(server.request("POST", "/mcp", json=LIST, headers=HEADERS).json()["result"]["tools"]) == 6


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"id": 1.5}, {"id": {}}, {"method": None}, {"params": []}],
    ids=["id null", "id float", "id object", "no method", "params array"],
)
def test_what_is_no_json_rpc_request_is_invalid(server, change):
    """B62."""
    answer = server.request("POST", "/mcp", json={**LIST, **change}, headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize(
    ("header", "meta", "code"),
    [("1999-01-01", "1999-01-01", -32022), ("1999-01-01", "2026-07-28", -32020), ("2026-07-28", "2025-11-25", -32020)],
)
def test_an_unknown_version_or_a_mismatch_is_told_by_its_code(server, header, meta, code):
    """B63."""
    params = {"_meta": {**MODERN["_meta"], "io.modelcontextprotocol/protocolVersion": meta}}
    answer = server.request(
        "POST", "/mcp", json={**LIST, "params": params}, headers={**HEADERS, "MCP-Protocol-Version": header}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


ERAS = pytest.mark.parametrize("headers", [HEADERS, ACCEPT], ids=["modern", "session"])


@ERAS
@pytest.mark.parametrize("accept", ["text/html", "text/event-stream", None], ids=["html", "stream only", "missing"])
def test_a_client_that_takes_no_json_is_406(server, headers, accept):
    """B60."""
    sent = [("Host", "localhost"), ("Content-Type", "application/json")]
    sent += [(name, value) for name, value in headers.items() if name != "Accept"]
    sent += [("Accept", accept)] if accept else []
    assert raw(server, "POST", "/mcp", sent, json.dumps(LIST).encode())[0] == 406


@ERAS
@pytest.mark.parametrize(
    "types",
    [["text/plain"], ["application/jsonx"], ["multipart/form-data"], [], ["application/json", "text/plain"]],
    ids=["text", "a longer name", "form", "missing", "two"],
)
def test_content_that_is_no_json_is_415_without_an_id(server, headers, types):
    """B60; a web page may send text/plain anywhere without asking."""
    sent = [("Host", "localhost"), *headers.items(), *(("Content-Type", name) for name in types)]
    status, shown, body = raw(server, "POST", "/mcp", sent, json.dumps(LIST).encode())
    assert (status, shown["content-type"]) == (415, "application/json")
    error = json.loads(body)
    assert "id" not in error
    assert "application/json" in error["error"]["message"]


@ERAS
@pytest.mark.parametrize("name", ["application/json; charset=utf-8", "application/json ;x=y"])
def test_json_may_be_named_in_any_of_its_ways(server, headers, name):
    """B60."""
    sent = {**headers, "Content-Type": name}
    assert server.request("POST", "/mcp", content=json.dumps(LIST), headers=sent).status_code == 200
