"""The first five minutes as a user types them: `up`, `tools`, `invoke`, `ps`, `down`, with real servers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Kaos

STARTED = re.compile(
    r"mcpserver/calculator   started   (?P<url>http://127\.0\.0\.1:\d+/mcp)   \(ready in \d+\.\ds, 2 tools\)\n"
    r"mcpserver/calculator   gateway   (?P<gateway>http://127\.0\.0\.1:\d+/default/mcp/calculator/mcp)\n"
)
IMPORTING = ("code: |\n", "code: |\n      import nosuch_module\n")


def test_up_tools_invoke_ps_and_down(kaos: Kaos) -> None:
    kaos.file("calculator.yaml", kaos.calculator)
    up = kaos("up", "-d", "-f", "calculator.yaml")
    assert (up.returncode, up.stderr) == (0, "")
    started = STARTED.fullmatch(up.stdout)
    assert started, up.stdout

    assert kaos("mcp", "tools", "calculator", "--local").stdout == (
        "add(a: int, b: int) -> int      Add two numbers.\n"
        "divide(a: int, b: int) -> str   Divide a by b.\n"
    )  # fmt: skip
    assert [
        tool["name"] for tool in json.loads(kaos("mcp", "tools", "calculator", "--local", "-o", "json").stdout)
    ] == [
        "add",
        "divide",
    ]

    for arguments in (
        ("add", "a=2", "b=3"),
        ("--tool", "add", "--args", '{"a": 2, "b": 3}'),
        ("--tool", "add", "a=2", "b=3"),
    ):
        done = kaos("mcp", "invoke", "calculator", *arguments, "--local")
        assert (done.returncode, done.stdout, done.stderr) == (0, '{"result": 5}\n', "")
    assert kaos("mcp", "invoke", "calculator", "add", "a=2", "b=3", "--local", "-o", "text").stdout == "5\n"

    unknown = kaos("mcp", "invoke", "calculator", "ad", "a=2", "--local")
    assert (unknown.returncode, unknown.stdout) == (5, "")
    assert unknown.stderr.splitlines()[0] == 'error: tool "ad" not found on calculator. Did you mean: add?'
    failing = kaos("mcp", "invoke", "calculator", "divide", "a=1", "b=0", "--local", "-o", "json")
    assert (failing.returncode, failing.stdout) == (5, "")
    assert json.loads(failing.stderr)["error"]["code"] == "tool"
    wrong = kaos("mcp", "invoke", "calculator", "add", "a=2", "b=x", "--local")
    assert (wrong.returncode, wrong.stderr) == (2, "error: the argument b takes int, not 'x'\n")
    missing = kaos("mcp", "invoke", "calculater", "add", "--local")
    assert missing.returncode == 1
    assert "calculator" in missing.stderr

    header, row = kaos("ps").stdout.splitlines()
    assert header.split() == ["KIND", "NAME", "RUNTIME", "READY", "REASON", "URL", "AGE"]
    assert row.split()[:6] == ["MCPServer", "calculator", "rawpython", "True", "Ready", started["url"]]
    (resource,) = json.loads(kaos("ps", "-o", "json").stdout)
    assert resource["kind"] == "MCPServer"

    down = kaos("down")
    assert (down.returncode, down.stdout) == (0, "mcpserver/calculator   stopped\nstopped 1\n")
    assert (kaos("down").stdout, kaos("ps").stdout) == ("stopped 0\n", "")
    assert kaos.processes() == []


def test_ctrl_c_stops_exactly_what_this_up_has_started(kaos: Kaos) -> None:
    kaos.file("kept.yaml", kaos.calculator.replace("name: calculator", "name: kept"))
    kaos.file("calculator.yaml", kaos.calculator)
    assert kaos("up", "-d", "kept.yaml").returncode == 0
    process = kaos.start("up", "calculator.yaml")
    assert process.stdout is not None
    assert STARTED.fullmatch(process.stdout.readline() + process.stdout.readline())
    assert kaos("mcp", "invoke", "calculator", "divide", "a=1", "b=0", "--local").returncode == 5
    assert "ZeroDivisionError" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("mcpserver/calculator   stopped\n")
    assert kaos("ps", "-o", "name").stdout == "mcpserver.kaos.tools/kept\n"
    assert kaos("down", "nosuch").returncode == 1
    assert kaos("down", "kept").stdout == "mcpserver/kept   stopped\nstopped 1\n"


def test_ctrl_c_leaves_what_ran_before_this_up(kaos: Kaos) -> None:
    kept = kaos.calculator.replace("name: calculator", "name: kept")
    changed = kaos.calculator.replace("name: calculator", "name: changed")
    kaos.file("before.yaml", f"{kept}---\n{changed}")
    assert kaos("up", "-d", "before.yaml").returncode == 0
    kaos.file("all.yaml", f"{kept}---\n{changed.replace('Add two', 'Add 2')}---\n{kaos.calculator}")
    process = kaos.start("up", "all.yaml")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    words = {line.split()[0]: line.split()[1] for line in lines if "ready in" in line}
    assert words == {"mcpserver/kept": "running", "mcpserver/changed": "updated", "mcpserver/calculator": "started"}
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count("stopped")) == (130, 1)
    names = kaos("ps", "-o", "name").stdout.split()
    assert names == ["mcpserver.kaos.tools/changed", "mcpserver.kaos.tools/kept"]


def test_a_failure_without_detach_leaves_what_ran_before_this_up(kaos: Kaos) -> None:
    kaos.file("calculator.yaml", kaos.calculator)
    assert kaos("up", "-d", "calculator.yaml").returncode == 0
    broken = kaos.calculator.replace("name: calculator", "name: broken").replace(*IMPORTING)
    kaos.file("both.yaml", f"{kaos.calculator}---\n{broken}")
    assert kaos("up", "both.yaml").returncode == 1
    assert kaos("ps", "-o", "name").stdout == "mcpserver.kaos.tools/calculator\n"


def test_up_shows_what_the_program_printed_before_it_was_ready(kaos: Kaos) -> None:
    kaos.file("calculator.yaml", kaos.calculator.replace("code: |\n", 'code: |\n      print("loading the table")\n\n'))
    process = kaos.start("up", "calculator.yaml")
    assert process.stdout is not None
    assert STARTED.fullmatch(process.stdout.readline() + process.stdout.readline())
    assert "loading the table" in process.stdout.readline()


def test_the_default_of_timeout_is_shown_as_it_is_typed(kaos: Kaos) -> None:
    assert "[default: 60s]" in " ".join(kaos("up", "--help").stdout.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_killed_terminal_leaves_nothing_behind(kaos: Kaos, number: signal.Signals) -> None:
    kaos.file("calculator.yaml", kaos.calculator)
    process = kaos.start("up", "calculator.yaml")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("mcpserver/calculator   started")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert kaos("ps", "-o", "json").stdout == "[]\n"


def test_down_elsewhere_ends_an_up_that_follows(kaos: Kaos) -> None:
    kaos.file("calculator.yaml", kaos.calculator)
    process: subprocess.Popen[str] = kaos.start("up", "calculator.yaml")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("mcpserver/calculator   started")
    assert kaos("down", "calculator.yaml").stdout == "mcpserver/calculator   stopped\nstopped 1\n"
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_server_that_fails_is_told_with_its_reason_and_the_others_run_on(kaos: Kaos) -> None:
    broken = kaos.calculator.replace("name: calculator", "name: broken").replace(*IMPORTING)
    kaos.file("both.yaml", f"{kaos.calculator}---\n{broken}")
    done = kaos("up", "-d", "both.yaml")
    assert done.returncode == 1
    assert "mcpserver/calculator   started" in done.stdout
    assert "mcpserver/broken   failed   ImportError: " in done.stderr
    assert "nosuch_module" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: mcpserver/broken failed"
    rows = {line.split()[1]: line.split()[3] for line in kaos("ps").stdout.splitlines()[1:]}
    assert rows == {"calculator": "True", "broken": "False"}
    invoked = kaos("mcp", "invoke", "broken", "add", "a=1", "b=1", "--local")
    assert invoked.returncode == 1


def test_without_detach_a_failure_takes_everything_of_this_up_with_it(kaos: Kaos) -> None:
    kaos.file("broken.yaml", kaos.calculator.replace(*IMPORTING))
    done = kaos("up", "broken.yaml")
    assert done.returncode == 1
    assert kaos("ps", "-o", "json").stdout == "[]\n"


def test_what_is_not_ready_in_time_is_exit_6(kaos: Kaos) -> None:
    kaos.file("calculator.yaml", kaos.calculator)
    done = kaos("up", "-d", "calculator.yaml", "--timeout", "0s")
    assert (done.returncode, done.stdout) == (6, "")
    assert "error: mcpserver/calculator not ready within 0s" in done.stderr


def test_what_only_a_cluster_makes_of_a_file_is_one_warning_line_each(kaos: Kaos) -> None:
    text = kaos.calculator + "  replicas: 2\n  podSpec: {terminationGracePeriodSeconds: 5}\n"
    kaos.file("calculator.yaml", text)
    up = kaos("up", "-d", "calculator.yaml")
    assert up.returncode == 0
    assert up.stderr == (
        "warning: mcpserver/calculator: spec.podSpec counts in a cluster only\n"
        "warning: mcpserver/calculator: runs once on this machine, whatever spec.replicas says\n"
    )
