"""How a server starts and ends, and that nothing of it stays."""

import asyncio
import os
import signal

import httpx2
import pytest

CODE = '''
import os, subprocess, time
def slow(began: str, go: str) -> str:
    """Says that it has begun and waits for a word."""
    open(began, "w").close()
    while not os.path.exists(go):
        time.sleep(0.01)
    return "done"
def detach() -> int:
    """x"""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
def hold(began: str) -> str:
    """Keeps the interpreter."""
    import re
    open(began, "w").close()
    re.match(r"(a+)+$", "a" * 60 + "b")
'''


@pytest.fixture
def marks(tmp_path):
    """Files by which a call tells that it runs, and is told to end."""
    return tmp_path / "began", tmp_path / "go"


def slow(began, go):
    return {"tool": "slow", "arguments": {"began": str(began), "go": str(go)}}


async def until(done):
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.01)


async def refused(port):
    """Wait until nobody listens there."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


def test_importing_the_server_starts_nothing(parent):
    """A parent that has imported it can fork."""
    assert parent.threads == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_calls_in_flight_and_exits_0(start, gone, marks, number):
    """F48: and no connection is accepted meanwhile."""
    began, go = marks
    server = start(CODE).until_ready()
    processes = server.processes()

    async def run():
        async with httpx2.AsyncClient(timeout=60) as http:
            call = asyncio.create_task(http.post(f"{server.url}/tools", json=slow(began, go)))
            await until(began.exists)
            os.kill(server.pid, number)
            await refused(server.port)
            assert not call.done()
            go.touch()
            return (await call).json()

    assert asyncio.run(run()) == {"result": "done"}
    assert server.wait() == 0
    assert gone(processes)


@pytest.mark.parametrize("whom", ["front", "template"])
def test_no_process_is_left_when_one_is_killed(start, gone, marks, whom):
    """Not the worker, not even one whose interpreter a tool holds, nor what a tool detached."""
    began, _ = marks
    server = start(CODE).until_ready()
    detached = server.call("detach").data

    async def run():
        async with httpx2.AsyncClient(timeout=60) as http:
            holding = {"tool": "hold", "arguments": {"began": str(began)}}
            call = asyncio.create_task(http.post(f"{server.url}/tools", json=holding))
            await until(began.exists)
            front, template, *_ = processes = server.processes()
            os.kill(front if whom == "front" else template, signal.SIGKILL)
            await asyncio.gather(call, return_exceptions=True)
            return processes

    processes = asyncio.run(run())
    assert server.wait() == (-9 if whom == "front" else 1)
    assert detached in processes
    assert gone(processes)


def test_signals_for_the_process_group_do_not_reach_the_workers(start):
    """Ctrl-C in a terminal goes to the whole group, and calls in flight must still be drained."""
    server = start(CODE).until_ready()
    front, *others = server.processes()
    assert all(os.getsid(pid) == pid for pid in others)
    assert os.getsid(front) not in others
