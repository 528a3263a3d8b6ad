"""Code that cannot be served: exit status 78, and one last line that says why, also in the termination log."""

import subprocess
import sys

import pytest

FINE = "def f() -> int:\n    return 1\n"


@pytest.fixture
def refusal(start, tmp_path):
    def run(code=None, **env):
        log = tmp_path / "termination-log"
        log.touch()
        server = start(code, KAOS_TERMINATION_LOG=str(log), **env)
        assert server.wait() == 78, server.log
        last = server.log.splitlines()[-1]
        assert log.read_text() == last + "\n"
        assert len(last.split(": ", 1)[1]) <= 200
        return last

    return run


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def f():\n    pass\ndef g(:\n    pass\n", "InvalidCode: line 3: "),
        ("def f():\n  if 1:\n  pass\n", "InvalidCode: line 3: "),
        ("def f():\n\tif 1:\n        return 1\n", "InvalidCode: line 3: "),
    ],
    ids=["syntax", "indentation", "tabs"],
)
def test_code_that_does_not_compile_exits_78_with_the_line(refusal, code, line):
    """B74."""
    last = refusal(code)
    assert last.startswith(line)
    assert "def g" not in last


def test_a_missing_module_exits_78_with_its_name(refusal):
    """B75."""
    assert (
        refusal("import os\nimport no_such_module\ndef f(): ...\n")
        == "ImportError: line 2: No module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    "code",
    ["x = 1\nimport os\n", "def _hidden(): ...\n", "from os.path import join\nclass A: ...\n"],
    ids=["none", "private", "imported"],
)
def test_code_without_a_tool_exits_78(refusal, code):
    """B76."""
    assert refusal(code).startswith("NoTools: ")


def test_when_every_function_is_left_out_the_line_names_one_and_why(refusal):
    """B77."""
    last = refusal("def f(*values): ...\n")
    assert last.startswith("NoTools: f: *values ")


@pytest.mark.parametrize("code", ["while True:\n    pass\n", "import time\ntime.sleep(1e9)\n"], ids=["loop", "sleep"])
def test_top_level_code_that_does_not_end_exits_78_with_the_line_it_is_at(refusal, code):
    """B78; the budget, 10 s by default, is shortened."""
    last = refusal(code + FINE, MCP_LOAD_TIMEOUT="2")
    assert last.startswith("InvalidCode: line ")
    assert "still ran after 2 s" in last


def test_top_level_code_that_holds_the_interpreter_exits_78(refusal):
    """B78: the worker's own watchdog cannot run then."""
    last = refusal(f"import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')\n{FINE}", MCP_LOAD_TIMEOUT="2")
    assert "still ran after 2 s" in last


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("input()", "InvalidCode: line 2: EOFError: "),
        ("import sys; sys.exit()", "InvalidCode: line 2: SystemExit"),
        ("int('x')", "InvalidCode: line 2: ValueError: "),
        ("import os; os._exit(0)", "InvalidCode: the process ended while the code was loaded (exit status 0)"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "InvalidCode: the process ended while the code was loaded (signal SIGKILL)",
        ),
    ],
    ids=["input", "exit", "error", "os._exit", "kill"],
)
def test_top_level_code_that_ends_or_fails_exits_78(refusal, statement, line):
    """B78."""
    assert refusal(f"{FINE.splitlines()[0]} return 1\n{statement}\n").startswith(line)


def test_the_line_comes_last_also_when_the_code_prints(refusal):
    assert refusal("print('started')\nraise RuntimeError('no')\n" + FINE) == "InvalidCode: line 2: RuntimeError: no"


def test_source_given_twice_exits_78(refusal, tmp_path):
    path = tmp_path / "tools.py"
    path.write_text(FINE)
    last = refusal(FINE, MCP_TOOLS_STRING_FILE=str(path))
    assert last.startswith("InvalidParams: both ")


@pytest.mark.parametrize("code", [None, "", "  \n"], ids=["unset", "empty", "blank"])
def test_no_source_exits_78(refusal, code):
    assert refusal(code).startswith("NoTools: ")


def test_a_source_file_that_is_not_there_is_named(refusal):
    assert (
        refusal(MCP_TOOLS_STRING_FILE="/nowhere/tools.py")
        == "InvalidParams: MCP_TOOLS_STRING_FILE: /nowhere/tools.py: No such file or directory"
    )


def test_params_that_are_no_code_exit_78(refusal):
    """B16."""
    assert refusal("- a\n- b\n").startswith("InvalidParams: params are a list")


def test_a_setting_that_is_no_number_is_named(refusal):
    assert refusal(FINE, MCP_TOOL_TIMEOUT="soon").startswith("InvalidParams: MCP_TOOL_TIMEOUT is 'soon'")


def test_without_a_termination_log_only_stderr_is_written(start, tmp_path):
    server = start("x = 1\n", KAOS_TERMINATION_LOG=str(tmp_path / "none"))
    assert server.wait() == 78
    assert list(tmp_path.iterdir()) == []


def test_the_module_run_by_itself_exits_78_the_same_way():
    """The image's command: no forking parent."""
    done = subprocess.run(
        [sys.executable, "-m", "kaos_runtime_rawpython.server", "--port", "0"],
        env={"MCP_TOOLS_STRING": "import no_such_module\n"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == "ImportError: line 1: No module named 'no_such_module'"


# What macOS answers: its socket module has the name, its kernel does not have the thing.
WITHOUT_PACKETS = """
import errno, socket, sys
real = socket.socketpair
def socketpair(family=socket.AF_UNIX, type=socket.SOCK_STREAM, proto=0):
    if type == socket.SOCK_SEQPACKET:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
    return real(family, type, proto)
socket.socketpair = socketpair
from kaos_runtime_rawpython.server import main
sys.exit(main(["--port", "0"]))
"""


def test_a_system_without_packet_sockets_is_refused_in_one_line():
    """As `import` and `--help` work there, so does the reason: it is the system, not the code."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKETS],
        env={"MCP_TOOLS_STRING": FINE},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert line.startswith("NoLocalRuntime: this version of the rawpython server needs Linux ")
    assert line.endswith("virtual machine")
    assert done.stdout == ""


def test_a_port_that_is_taken_exits_1_and_is_named(start):
    first = start(FINE).until_ready()
    second = start(FINE, argv=("--port", str(first.port)))
    assert second.wait() == 1
    assert f"cannot listen on 127.0.0.1:{first.port}: Address already in use" in second.log


def test_code_that_loads_no_more_after_a_restart_of_its_process_is_told_and_served_again(start, tmp_path, text):
    """A worker is forked anew after each death, and runs the top level anew."""
    switch = tmp_path / "broken"
    server = start(
        f"import os\nif os.path.exists({str(switch)!r}):\n    raise RuntimeError('gone')\n"
        f"def die() -> str:\n    os._exit(3)\n{FINE}"
    )
    server.until_ready()
    switch.touch()
    assert server.call("die").is_error
    assert "could not be loaded again: InvalidCode: line 3: RuntimeError: gone" in text(server.call("f"))
    assert server.request("GET", "/ready").status_code == 503
    switch.unlink()
    assert server.until_ready().call("f").data == 1
