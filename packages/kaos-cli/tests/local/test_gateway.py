"""The gateway through real clients."""

import asyncio
import http.client
import socket

import httpx2
import pytest
from fastmcp import Client


@pytest.fixture
def gateway(local, monkeypatch):
    """Have one on a free port; its address."""
    port = local.free_port()
    monkeypatch.setenv("KAOS_GATEWAY_PORT", str(port))
    return f"http://127.0.0.1:{port}"


def mcp(local, name="tested", transport="http", path="/mcp"):
    command = ["{python}", str(local.PROGRAMS / "mcp_server.py"), "{port}", transport, path]
    protocol = "sse" if transport == "sse" else "auto"
    return local.server(name, container={"command": command}, transport={"protocol": protocol, "path": path})


def up(local, gateway, *documents):
    resources = local.up(*documents)
    local.until(lambda: local.accepts(int(gateway.rpartition(":")[2])))
    return resources


def call(url, tool, arguments, **options):
    progress = []

    async def report(step, total, message):
        progress.append(step)

    async def run():
        async with Client(url, timeout=60, **options) as client:
            result = await client.call_tool(tool, arguments, progress_handler=report)
            return result.data

    return asyncio.run(run()), progress


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_clients_of_both_eras_call_tools_through_it(local, gateway, mode):
    up(local, gateway, mcp(local))
    url = local.target.gateway_url(local.ref("tested")) + "/mcp"

    assert url == f"{gateway}/default/mcp/tested/mcp"
    assert call(url, "echo", {"text": "hello ä"}, mode=mode)[0] == "hello ä"
    assert call(url, "steps", {}, mode=mode) == ("done", [0, 1, 2])


def test_an_event_stream_flows_while_it_is_open(local, gateway):
    (resource,) = up(local, gateway, mcp(local, transport="sse", path="/sse"))
    assert resource["status"]["validation"]["transportUsed"] == "sse"

    with httpx2.stream("GET", f"{gateway}/default/mcp/tested/sse", timeout=local.PATIENCE, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_lines()).startswith("event: endpoint")


def test_the_prefix_is_stripped_and_path_query_and_method_arrive(local, gateway):
    (resource,) = up(local, gateway, local.plain("one"))

    answer = httpx2.get(f"{gateway}/default/mcp/one/say/a%20b", trust_env=False, timeout=local.PATIENCE)
    assert answer.status_code == 200
    local.until(lambda: "a%20b" in local.log(local.ref("one")))
    assert (
        httpx2.get(f"{gateway}/default/mcp/one", trust_env=False, timeout=local.PATIENCE).json()["pid"]
        == local.ask(resource)["pid"]
    )


def test_a_name_that_does_not_exist_is_404_with_those_that_do(local, gateway):
    up(local, gateway, local.plain("one"))

    for path in ("/default/mcp/two/mcp", "/default/agent/one/mcp", "/zoo/mcp/one/mcp"):
        answer = httpx2.get(gateway + path, trust_env=False, timeout=local.PATIENCE)
        assert answer.status_code == 404
        assert "/default/mcp/one" in answer.text


def test_a_server_that_is_not_ready_is_503_with_the_reason(local, gateway):
    up(local, gateway, local.plain("one", env={"REFUSE": "NoTools: no function"}))

    answer = httpx2.get(f"{gateway}/default/mcp/one/mcp", trust_env=False, timeout=local.PATIENCE)

    assert answer.status_code == 503
    assert "no function" in answer.text


def test_a_server_that_drops_the_connection_is_502(local, gateway):
    up(local, gateway, local.plain("one"))

    answer = httpx2.get(f"{gateway}/default/mcp/one/exit/3", trust_env=False, timeout=local.PATIENCE)

    assert answer.status_code == 502
    assert "mcpserver/one" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:17999"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_only_this_machine_is_served(local, gateway, headers, status):
    up(local, gateway, local.plain("one"))
    connection = http.client.HTTPConnection(gateway.removeprefix("http://"), timeout=local.PATIENCE)
    connection.putrequest("GET", "/default/mcp/one/", skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()

    assert connection.getresponse().status == status
    connection.close()


def test_without_its_port_servers_run_and_the_problem_is_told(local, gateway):
    port = int(gateway.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        (resource,) = local.up(local.plain("one"))

        problem = local.until(local.target.gateway_problem)

    assert resource["status"]["phase"] == "Ready"
    assert str(port) in problem
    assert "KAOS_GATEWAY_PORT" in problem
    assert problem in (local.store.root / "supervisor.log").read_text()


def test_a_server_that_is_deleted_is_gone_from_it(local, gateway):
    up(local, gateway, local.plain("one"), local.plain("two"))
    local.target.delete(local.ref("one"))

    assert httpx2.get(f"{gateway}/default/mcp/one/", trust_env=False, timeout=local.PATIENCE).status_code == 404
    assert httpx2.get(f"{gateway}/default/mcp/two/", trust_env=False, timeout=local.PATIENCE).status_code == 200
