"""What one tool does to the others: nothing. B69, against real processes that hang, spin, die and fork."""

import asyncio
import os
import statistics
import time
from pathlib import Path

import pytest

CODE = '''
import os, re, subprocess, sys, threading, time
STATE = []
def add(a: int, b: int) -> int:
    """x"""
    return a + b
def pid() -> int:
    """x"""
    return os.getpid()
def sleep_for_ever() -> str:
    """x"""
    time.sleep(1e9)
def loop_for_ever() -> str:
    """x"""
    while True:
        pass
def hold_the_interpreter() -> str:
    """C code that keeps the GIL."""
    re.match(r"(a+)+$", "a" * 60 + "b")
async def block_the_loop() -> str:
    """x"""
    time.sleep(1e9)
async def wait_for_ever() -> str:
    """x"""
    import asyncio
    await asyncio.sleep(1e9)
def take_memory() -> int:
    """x"""
    return len(bytearray(2 << 30))
def end(status: int) -> str:
    """x"""
    os._exit(status)
def kill() -> str:
    """x"""
    os.kill(os.getpid(), 9)
def append_to(path: str, seconds: float) -> str:
    """x"""
    with open(path, "a") as file:
        file.write("x")
    time.sleep(seconds)
    return "done"
def detach() -> int:
    """A process in a session of its own."""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
def environment() -> dict:
    """x"""
    return dict(os.environ)
def limits() -> dict:
    """x"""
    import resource
    names = ("RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC")
    return {name: resource.getrlimit(getattr(resource, name))[0] for name in names} | {"stdin": sys.stdin.read()}
def write_everywhere() -> str:
    """What is no message, into every open file."""
    import socket
    for number in range(3, 64):
        try:
            socket.socket(fileno=os.dup(number)).send(bytes([255] * 20))
        except OSError:
            pass
    time.sleep(1e9)
def fork_bomb(bound: int) -> dict:
    """Forks until it is stopped, at most `bound` times."""
    pids = []
    try:
        while len(pids) < bound:
            pid = os.fork()
            if pid == 0:
                time.sleep(1000)
            pids.append(pid)
    except OSError as error:
        return {"stopped": type(error).__name__, "pids": pids}
    return {"stopped": "", "pids": pids}
'''
HELD = ["sleep_for_ever", "loop_for_ever", "hold_the_interpreter", "block_the_loop", "wait_for_ever"]


@pytest.fixture(scope="module")
def server(shared):
    return shared(CODE, MCP_TOOL_TIMEOUT="5", LEFT_ALONE="yes").until_ready()


@pytest.mark.parametrize("tool", HELD)
def test_a_tool_that_never_ends_is_timed_out_while_others_answer(server, text, gone, tool):
    """B69: they answer while it is held, each on a process that still can."""

    async def run():
        async with server.connected() as client:
            before = (await client.call_tool("pid")).data
            held = asyncio.create_task(client.call_tool(tool, raise_on_error=False))
            await asyncio.sleep(0.05)
            answers = []
            for number in range(3):
                answers.append((await client.call_tool("add", {"a": number, "b": 1})).data)
                assert not held.done(), "the call ended before the others had answered"
            result = await held
            return before, answers, result, (await client.call_tool("pid")).data

    before, answers, result, after = asyncio.run(run())
    assert answers == [1, 2, 3]
    assert result.is_error
    assert text(result) == f"Tool {tool!r} timed out after 5 s"
    assert after != before
    assert gone([before])


@pytest.mark.parametrize(
    ("tool", "arguments", "how"), [("end", {"status": 3}, "exit status 3"), ("kill", {}, "signal SIGKILL")]
)
def test_a_tool_that_ends_its_process_ends_no_more_than_that(server, text, tool, arguments, how):
    """B69."""
    result = server.call(tool, arguments)
    assert result.is_error
    assert text(result) == f"Error calling tool {tool!r}: the tool's process ended ({how})"
    assert server.call("add", {"a": 1, "b": 1}).data == 2


def test_calls_beside_one_that_ends_the_process_are_told_so(server, text, tmp_path):
    """B69: an error that names it, not a silence."""

    async def run():
        async with server.connected() as client:
            mark = tmp_path / "began"
            beside = client.call_tool("append_to", {"path": str(mark), "seconds": 1e9}, raise_on_error=False)
            beside = asyncio.create_task(beside)
            async with asyncio.timeout(60):
                while not mark.exists():
                    await asyncio.sleep(0.01)
            await client.call_tool("end", {"status": 0}, raise_on_error=False)
            return await beside

    assert "the tool's process ended (exit status 0)" in text(asyncio.run(run()))


def test_a_tool_that_takes_too_much_memory_gets_an_error_and_its_process_lives(server, text):
    """B69."""
    before = server.call("pid").data
    assert text(server.call("take_memory")) == "Error calling tool 'take_memory': MemoryError"
    assert server.call("pid").data == before


def test_a_call_is_never_run_twice(start, tmp_path):
    """Calls that wait behind a held interpreter go to a fresh worker; each still runs once."""
    server = start(CODE).until_ready()
    files = [tmp_path / str(number) for number in range(12)]

    async def run():
        async with server.connected() as client:
            held = [
                asyncio.create_task(client.call_tool("hold_the_interpreter", raise_on_error=False)) for _ in range(2)
            ]
            calls = [
                client.call_tool("append_to", {"path": str(path), "seconds": 0.01}, raise_on_error=False)
                for path in files
            ]
            results = await asyncio.gather(*calls)
            for call in held:
                call.cancel()
            return [result.data or result for result in results]

    assert asyncio.run(run()) == ["done"] * len(files)
    assert [path.read_text() for path in files] == ["x"] * len(files)


def test_more_calls_than_threads_all_answer(server, tmp_path):
    path = tmp_path / "marks"

    async def run():
        async with server.connected() as client:
            calls = [client.call_tool("append_to", {"path": str(path), "seconds": 0.05}) for _ in range(80)]
            return [result.data for result in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == ["done"] * 80
    assert path.read_text() == "x" * 80


def test_others_answer_when_every_thread_is_held(server):
    """B69."""

    async def run():
        async with server.connected() as client:
            held = [asyncio.create_task(client.call_tool("sleep_for_ever", raise_on_error=False)) for _ in range(40)]
            await asyncio.sleep(0.2)
            answer = await client.call_tool("add", {"a": 1, "b": 1})
            assert not any(call.done() for call in held)
            return answer.data, [result.is_error for result in await asyncio.gather(*held)]

    assert asyncio.run(run()) == (2, [True] * 40)


def test_a_process_that_a_tool_detached_ends_with_the_worker(server, gone):
    """B69: nothing is left behind, not even what left the process group."""
    detached = server.call("detach").data
    assert Path(f"/proc/{detached}/stat").read_text().split()[2] != "Z"
    server.call("end", {"status": 0})
    assert gone([detached])


def test_deaths_in_a_row_do_not_spin(start):
    """B69: re-forks are bounded: five at once, then one a second."""
    server = start(CODE).until_ready()
    began = time.monotonic()
    for _ in range(8):
        assert server.call("end", {"status": 1}).is_error
    assert time.monotonic() - began > 1
    assert server.call("add", {"a": 1, "b": 1}).data == 2


def test_tools_see_the_environment_less_the_servers_own_variables(start):
    """B79, and the code of other tools is no secret worth leaking to programs that they start."""
    server = start(CODE, LEFT_ALONE="yes", KAOS_SERVER_NAME="x", POD_IP="10.0.0.1").until_ready()
    seen = server.call("environment").structured_content
    assert seen["LEFT_ALONE"] == "yes"
    assert not [name for name in seen if name.startswith(("KAOS_", "MCP_TOOLS_STRING", "FASTMCP_")) or name == "POD_IP"]


HOLDING = {
    "loop_for_ever": "while True: pass",
    "hold_the_interpreter": 're.match(r"(a+)+$", "a" * 60 + "b")',
    "block_the_loop": "time.sleep(1e9)",
}


@pytest.mark.parametrize("last", HOLDING)
def test_others_answer_while_three_kinds_of_tool_hang(start, tmp_path, last):
    """B69, with the default limits. The ten calls find the worker that the last of them holds.

    Its own number is a second; what the same ten calls take here and now when nothing hangs comes on top, five times.
    """
    code = "import pathlib, re, time\ndef add(a: int, b: int) -> int:\n    return a + b\n"
    for name, body in HOLDING.items():
        kind = "async def" if name == "block_the_loop" else "def"
        code += f"{kind} {name}(mark: str) -> str:\n    pathlib.Path(mark).touch()\n    {body}\n"
    server = start(code).until_ready()

    async def run():
        async with server.connected() as client:

            async def seconds(number):
                began = time.monotonic()
                assert (await client.call_tool("add", {"a": number, "b": 1})).data == number + 1
                return time.monotonic() - began

            usual = statistics.median(await asyncio.gather(*map(seconds, range(10))))
            held = []
            for name in [name for name in HOLDING if name != last] + [last]:
                mark = tmp_path / name
                call = client.call_tool(name, {"mark": str(mark)}, raise_on_error=False)
                held.append(asyncio.create_task(call))
                async with asyncio.timeout(60):
                    while not mark.exists():
                        await asyncio.sleep(0.01)
            took = await asyncio.gather(*map(seconds, range(10)))
            assert not any(call.done() for call in held), "it hangs no more"
            for call in held:
                call.cancel()
            return usual, took

    usual, took = asyncio.run(run())
    assert statistics.median(took) <= 1 + 5 * usual, (usual, took)


def test_the_memory_limit_is_set_by_default(start):
    """B69."""
    assert start(CODE).until_ready().call("limits").structured_content["RLIMIT_DATA"] == 1 << 30


def test_limits_are_set_and_there_is_no_input(start):
    limits = start(CODE, MCP_TOOL_MEMORY=str(700 << 20)).until_ready().call("limits").structured_content
    assert limits["RLIMIT_DATA"] == 700 << 20
    assert limits["RLIMIT_NOFILE"] <= 1024
    assert limits["RLIMIT_CORE"] == 0
    assert limits["stdin"] == ""


def test_a_fork_bomb_is_stopped_by_the_process_limit(start, gone):
    """B69: as an unprivileged user (root has no such limit), at most 300 forks."""
    # A user of its own, since the kernel counts per user: another run of this test would use up the limit.
    uid = 20_000 + os.getpid() % 40_000 if os.getuid() == 0 else None
    server = start(CODE, uid=uid, MCP_TOOL_TIMEOUT="20").until_ready()

    async def run():
        async with server.connected() as client:
            bomb = asyncio.create_task(client.call_tool("fork_bomb", {"bound": 300}, raise_on_error=False))
            other = await client.call_tool("add", {"a": 1, "b": 1})
            return other.data, (await bomb).structured_content

    other, result = asyncio.run(run())
    assert other == 2
    assert result["stopped"] == "BlockingIOError"
    assert 10 < len(result["pids"]) < 300
    assert server.call("add", {"a": 2, "b": 1}).data == 3
    processes = [*server.processes(), *result["pids"]]
    server.end()
    assert gone(processes)


def test_a_worker_that_writes_nonsense_to_the_front_is_ended(server, text):
    """The front believes nothing that comes out of the process with the code."""
    assert "the tool's process sent" in text(server.call("write_everywhere"))
    assert server.call("add", {"a": 1, "b": 1}).data == 2


def test_ready_gives_up_a_worker_that_is_silent_without_a_call(start):
    """A thread that a tool left behind can hold the interpreter too."""
    code = """
import os, re, threading
def pid() -> int:
    return os.getpid()
def hold_later() -> int:
    threading.Timer(0.2, re.match, (r"(a+)+$", "a" * 60 + "b")).start()
    return os.getpid()
"""
    server = start(code).until_ready()
    held = server.call("hold_later").data
    while server.call("pid").data == held:
        assert server.request("GET", "/ready").status_code in (200, 503)
    assert server.until_ready().request("GET", "/ready").json()["ready"] is True
