"""Every way to go wrong ends in one message on stderr, nothing on stdout, and the exit code of the design."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Kaos, Site

APP = """
import typer

app = typer.Typer()

@app.command()
def fail() -> None:
    {body}
"""


@pytest.fixture
def failing(plugin: Site) -> Callable[[str], Path]:
    """Installs the command `kaos fail`, whose body is given."""
    offer = plugin.offering("fail", "fail_app:app")
    return lambda body: plugin("fail", offer, fail_app=APP.format(body=body))


@pytest.mark.parametrize(
    "arguments",
    [
        ("mcp", "nosuch"),
        ("mcp", "list", "--nosuch"),
        ("mcp", "list", "-o", "nosuch"),
        ("mcp", "get"),
        ("mcp", "deploy", "x", "--timeout", "soon"),
        ("mcp", "deploy", "x", "--replicas", "-1"),
        ("up",),
        ("schema", "NoSuchKind"),
        ("mcp", "list", "-n", "No_Such"),
    ],
)
def test_what_cannot_be_used_is_two_lines_and_exit_2(kaos: Kaos, arguments: tuple[str, ...]) -> None:
    done = kaos(*arguments, env={"KAOS_TARGET": "local"})
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("Hint: ")
    assert kaos.is_untouched()


@pytest.mark.parametrize("form", [("-o", "json"), ("-ojson",), ("--output", "json"), ("--output=json",)])
def test_with_json_output_the_error_is_one_json_line(kaos: Kaos, form: tuple[str, ...]) -> None:
    done = kaos("mcp", "get", "nosuch", "--local", *form)
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)["error"]
    assert error.keys() == {"code", "message", "hint"}
    assert error["code"] == "notfound"


def test_without_a_cluster_every_cluster_command_says_so(kaos: Kaos) -> None:
    for arguments in (["list"], ["get", "x"], ["logs", "x"], ["delete", "x"], ["tools", "x"], ["invoke", "x", "add"]):
        done = kaos("mcp", *arguments)
        assert done.returncode == 4
        said = f"error: no Kubernetes target in this version yet: kaos mcp {arguments[0]} works with --local\n"
        assert done.stderr == said + "Hint: add --local (or export KAOS_TARGET=local)\n"


def test_an_unknown_target_is_exit_2(kaos: Kaos) -> None:
    done = kaos("mcp", "list", env={"KAOS_TARGET": "moon"})
    assert done.returncode == 2
    assert "KAOS_TARGET is 'moon'" in done.stderr


def test_a_bug_is_one_line_and_its_traceback_on_demand(kaos: Kaos, failing: Callable[[str], Path]) -> None:
    failing("1 / 0")
    done = kaos("fail")
    assert done.returncode == 1
    assert done.stderr == (
        "error: internal error: ZeroDivisionError: division by zero (KAOS_DEBUG=1 shows the traceback)\n"
    )
    assert "Traceback" in kaos("fail", env={"KAOS_DEBUG": "1"}).stderr


def test_escape_sequences_in_a_message_never_reach_the_terminal(kaos: Kaos, failing: Callable[[str], Path]) -> None:
    failing(r"raise ValueError('\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J bell\x07')")
    assert "\x1b" not in kaos("fail").stderr
    assert "\x07" not in kaos("fail").stderr
    assert "\x9b" not in kaos("fail").stderr


def test_interrupted_is_130_without_a_word(kaos: Kaos, failing: Callable[[str], Path]) -> None:
    failing("print('ready', flush=True); import time; time.sleep(60)")
    process = kaos.start("fail")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize("body", ["print('x' * 1_000_000)", "print('x')"], ids=["large", "small"])
def test_a_reader_that_leaves_is_no_error_message(kaos: Kaos, failing: Callable[[str], Path], body: str) -> None:
    failing(body)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [kaos.program, "fail"], env=kaos.env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
