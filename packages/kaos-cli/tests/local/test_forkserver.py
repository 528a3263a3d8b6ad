"""Servers that share a fork parent: one process each, nothing in common but what was imported."""

import asyncio
import os
import signal

import psutil
from fastmcp import Client

GLOBALS = '''
import os, signal
calls = 0
def count() -> int:
    """How often this server was called."""
    global calls
    calls += 1
    return calls
def name() -> str:
    """What was given to this server alone."""
    return os.environ["NAME"]
def variables() -> list[str]:
    """Names of all variables."""
    return sorted(os.environ)
'''


def servers(local, number):
    return [
        local.server(f"s{i}", params=GLOBALS, container={"env": [{"name": "NAME", "value": f"name-{i}"}]})
        for i in range(number)
    ]


def call(local, name, tool):
    async def run():
        async with Client(local.target.mcp_url(local.ref(name))) as client:
            return (await client.call_tool(tool, {})).data

    return asyncio.run(run())


def fork_parents(local):
    return local.running_module("kaos_cli.local.forkserver")


def test_ten_servers_have_one_parent_and_each_its_own_process_globals_and_environment(local):
    resources = local.up(*servers(local, 10))

    assert {resource["status"]["phase"] for resource in resources} == {"Ready"}
    pids = [local.running(local.ref(f"s{i}"))["pid"] for i in range(10)]
    assert len(set(pids)) == 10
    (parent,) = fork_parents(local)
    assert {psutil.Process(pid).ppid() for pid in pids} == {parent}
    assert [call(local, "s0", "count") for _ in range(2)] == [1, 2]
    assert call(local, "s1", "count") == 1
    assert [call(local, f"s{i}", "name") for i in range(3)] == ["name-0", "name-1", "name-2"]
    assert not [name for name in call(local, "s0", "variables") if name.startswith(("KAOS_", "PYTEST", "PYTHON"))]


def test_the_death_of_one_leaves_the_others(local):
    local.up(*servers(local, 3))
    pids = [local.running(local.ref(f"s{i}"))["pid"] for i in range(3)]

    os.kill(pids[0], signal.SIGKILL)

    local.until(lambda: (local.running(local.ref("s0")).get("pid") or pids[0]) != pids[0])
    local.until(lambda: local.status(local.ref("s0"))["phase"] == "Ready")
    assert [local.running(local.ref(f"s{i}"))["pid"] for i in (1, 2)] == pids[1:]
    assert call(local, "s1", "count") == 1


def test_the_exit_status_of_a_forked_server_is_known(local):
    (resource,) = local.up(local.server("bad", params="def broken(:\n"))

    assert local.condition(resource, "Ready")["reason"] == "InvalidCode"


def test_when_the_fork_parent_dies_its_servers_go_on_and_new_ones_get_a_new_parent(local):
    local.up(*servers(local, 2))
    pid = local.running(local.ref("s0"))["pid"]
    (parent,) = fork_parents(local)

    os.kill(parent, signal.SIGKILL)
    local.until(lambda: not local.alive(parent))

    local.up(local.server("later", params=local.ADD))
    assert local.running(local.ref("s0"))["pid"] == pid
    assert call(local, "s0", "count") == 1
    # One of the orphans dies; that is noticed too.
    os.kill(pid, signal.SIGKILL)
    local.until(lambda: (local.running(local.ref("s0")).get("pid") or pid) != pid)


def test_a_signal_for_the_fork_parent_does_not_end_it(local):
    local.up(*servers(local, 1))
    (parent,) = fork_parents(local)

    os.kill(parent, signal.SIGTERM)

    local.up(local.server("later", params=local.ADD))
    assert fork_parents(local) == [parent]
