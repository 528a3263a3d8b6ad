"""How a server starts and ends, and that nothing of it stays."""

import asyncio
import os
import signal

import httpx2
import pytest

CODE = '''
import os, subprocess, time
def slow(seconds: float) -> str:
    """x"""
    time.sleep(seconds)
    return "done"
def detach() -> int:
    """x"""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
def hold() -> str:
    """Keeps the interpreter."""
    import re
    re.match(r"(a+)+$", "a" * 60 + "b")
'''
SLOW = {"tool": "slow", "arguments": {"seconds": 1.5}}


def test_importing_the_server_starts_nothing(parent):
    """A parent that has imported it can fork."""
    assert parent.threads == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_calls_in_flight_and_exits_0(start, gone, number):
    """F48."""
    server = start(CODE).until_ready()
    processes = server.processes()

    async def run():
        async with httpx2.AsyncClient(timeout=20) as http:
            call = asyncio.create_task(http.post(f"{server.url}/tools", json=SLOW))
            await asyncio.sleep(0.3)
            os.kill(server.pid, number)
            return (await call).json()

    assert asyncio.run(run()) == {"result": "done"}
    assert server.wait() == 0
    assert gone(processes)


def test_no_connection_is_accepted_while_calls_are_drained(start):
    """F48."""
    server = start(CODE).until_ready()

    async def refused():
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)

    async def run():
        async with httpx2.AsyncClient(timeout=20) as http:
            call = asyncio.create_task(http.post(f"{server.url}/tools", json=SLOW))
            await asyncio.sleep(0.3)
            os.kill(server.pid, signal.SIGTERM)
            await refused()
            assert not call.done()
            return (await call).json()

    assert asyncio.run(run()) == {"result": "done"}
    assert server.wait() == 0


@pytest.mark.parametrize("whom", ["front", "template"])
def test_no_process_is_left_when_one_is_killed(start, gone, whom):
    """Not the worker, not even one whose interpreter a tool holds, nor what a tool detached."""
    server = start(CODE).until_ready()
    detached = server.call("detach").data

    async def run():
        async with server.connected() as client:
            call = asyncio.create_task(client.call_tool("hold", raise_on_error=False))
            await asyncio.sleep(0.1)
            call.cancel()

    asyncio.run(run())
    front, template, *_ = processes = server.processes()
    os.kill(front if whom == "front" else template, signal.SIGKILL)
    assert server.wait() == (-9 if whom == "front" else 1)
    assert detached in processes
    assert gone(processes)


def test_signals_for_the_process_group_do_not_reach_the_workers(start):
    """Ctrl-C in a terminal goes to the whole group, and calls in flight must still be drained."""
    server = start(CODE).until_ready()
    front, *others = server.processes()
    assert all(os.getsid(pid) == pid for pid in others)
    assert os.getsid(front) not in others
