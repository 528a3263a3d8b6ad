"""MCP servers that do harm to whoever asks them, and one that changes: the operator's probe, off the reconcile path.

There is no node: the tests say in the Deployments' status that pods are available.
"""

import asyncio
import contextlib
import threading

import pytest

from controlplane.programs import free_ports
from faultproxy.hostile import HostilePeers, dripping, endless, silent

MUL = "def mul(a: int, b: int) -> int:\n    return a * b\n"
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_PROBES": "4", "KAOS_PROBE_INTERVAL": "600"}


@pytest.fixture(scope="module")
def peers():
    with HostilePeers() as opened:
        yield opened


def aim(world, port, timeout="5", interval="600"):
    """Have the operator ask at that port, whatever the server; those of other tests are gone."""
    world.operator.kill()
    for resource in world.list("MCPServer"):
        world.delete("MCPServer", resource["metadata"]["name"])
    url = f"http://127.0.0.1:{port}/{{service}}{{path}}"
    world.operator.start(KAOS_PROBE_URL=url, KAOS_PROBE_TIMEOUT=timeout, KAOS_PROBE_INTERVAL=interval)


def available(world, name):
    """What the Deployment's controller would say when its pod serves."""
    path = world.path("Deployment", f"mcpserver-{name}")
    generation = world.get("Deployment", f"mcpserver-{name}")["metadata"]["generation"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    patch = {"status": {"observedGeneration": generation, **counts}}
    status, answer = world.plane.request("PATCH", f"{path}/status", patch, content_type="application/merge-patch+json")
    assert status == 200, answer


def serve(world, *names):
    for name in names:
        world.create(world.server(name))
    for name in names:
        world.until_programmed(name)
        available(world, name)


def told(world, names, reason):
    return [name for name in names if world.condition("MCPServer", name, "Ready").get("reason") == reason]


def test_servers_that_never_answer_delay_nobody(world, peers):
    """F27: ten servers hang: an edit of another is applied meanwhile, each hung one is asked once, and says why."""
    (peer,) = peers.open(silent())
    aim(world, peer.port, timeout="3")
    names = [f"hung-{number}" for number in range(10)]
    world.create(world.server("lively"))
    world.until_programmed("lively")
    serve(world, *names)
    world.until(lambda: peer.connections)

    world.edit("MCPServer", "lively", params=MUL)
    world.until_programmed("lively")
    assert len(told(world, names, "ProbeTimeout")) < len(names)

    world.until(lambda: len(told(world, names, "ProbeTimeout")) == len(names))
    assert len(peer.connections) == len(names)
    for name in names:
        assert world.condition("MCPServer", name, "Programmed")["status"] == "True"
    world.quiet()
    assert len(peer.connections) == len(names)


@pytest.mark.parametrize("behaviour", [endless(), endless("application/json", b"[[[[")], ids=["events", "JSON"])
def test_an_answer_without_end_is_read_to_the_limit_only(world, peers, oracles, behaviour, request):
    """F28: endless bodies: reading stops at 1 MiB, memory stays as it is, the condition is ProbeTooLarge."""
    (peer,) = peers.open(behaviour)
    aim(world, peer.port, timeout="20")
    first, second = (f"{number}-{request.node.callspec.id.lower()}" for number in ("one", "two"))
    serve(world, f"flood-{first}")
    world.until_condition("MCPServer", f"flood-{first}", "Ready", "False", "ProbeTooLarge")
    before = oracles.memory()

    serve(world, f"flood-{second}")

    world.until_condition("MCPServer", f"flood-{second}", "Ready", "False", "ProbeTooLarge")
    assert oracles.memory() - before <= 8 * MEBIBYTE
    assert peer.connected == 0
    assert peer.sent <= 8 * MEBIBYTE * len(peer.connections)


def test_an_answer_that_drips_for_ever_ends_with_the_budget(world, peers):
    """F28: a stream that says a little again and again ends with the time for the handshake."""
    (peer,) = peers.open(dripping())
    aim(world, peer.port, timeout="2")
    serve(world, "drip")
    world.until_condition("MCPServer", "drip", "Ready", "False", "ProbeTimeout")
    world.until(lambda: peer.connected == 0)
    restarted_without_a_write(world)


def restarted_without_a_write(world):
    """What was known of a server is told on until it has been asked again."""
    world.quiet(1)
    mark = world.plane.mark()
    world.operator.kill()
    world.operator.start()
    asked = "kaos_handshakes_total"
    world.until(lambda: any(count for name, count in world.operator.metrics().items() if name.startswith(asked)))
    world.quiet()
    assert world.writes(mark) == []


@contextlib.contextmanager
def live(port, service):
    """A real MCP server, whose tools can be changed."""
    import uvicorn
    from fastmcp import FastMCP

    server = FastMCP("live")
    app = server.http_app(path=f"/{service}/mcp")
    running = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()))
    thread.start()
    try:
        yield server
    finally:
        running.should_exit = True
        thread.join()


def test_tools_that_change_are_told_and_roll_nothing(world):
    """F38, F33: a new tool list changes the status only; a restart nothing; Ready is of the template that runs."""
    (port,) = free_ports(1)
    with live(port, "mcpserver-changing") as server:
        server.tool(name="first")(lambda: 1)
        aim(world, port, interval="1")
        serve(world, "changing")
        world.until_ready("changing")
        mark = world.plane.mark()

        server.tool(name="second")(lambda: 2)

        tools = ["first", "second"]
        world.until(lambda: world.get("MCPServer", "changing")["status"]["availableTools"] == tools)
        assert {(r.resource, r.subresource) for r in world.writes(mark)} == {("mcpservers", "status")}

        restarted_without_a_write(world)

        world.edit("MCPServer", "changing", params=MUL)
        world.until_programmed("changing")
        assert world.condition("MCPServer", "changing", "Ready")["status"] == "False"
        available(world, "changing")
        world.until_ready("changing")
