"""`kaos --help`: the index says what the real group says, and costs no import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Kaos, Site

HEAVY = ("typer", "kubernetes", "kopf", "fastmcp", "pydantic", "rich", "starlette", "httpx2", "mcp", "pluggy", "yaml")


def modules_after(kaos: Kaos, *arguments: str) -> set[str]:
    """Top-level names of what a command has imported."""
    script = (
        "import sys, json; from kaos_cli.main import main; code = main(); "
        "sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=kaos.env,
        cwd=kaos.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.mark.parametrize("columns", ["80", "200", "61", "20"])
def test_the_listing_is_what_typer_prints(kaos: Kaos, columns: str) -> None:
    env = {**kaos.env, "COLUMNS": columns}
    kaos("--help", env=env)
    indexed = kaos("--help", env=env)
    script = "from kaos_cli.app import run; raise SystemExit(run(['--help']))"
    real = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert indexed.stdout == real.stdout
    assert indexed.returncode == 0
    assert list((kaos.home / "cache" / "kaos").glob("*.json")) or sys.platform == "darwin"


def test_help_imports_no_command_and_no_library(kaos: Kaos) -> None:
    kaos("--help")
    loaded = modules_after(kaos, "--help")
    assert loaded.isdisjoint(HEAVY)
    assert not any(name.startswith("kaos_runtime") for name in loaded)


def test_a_local_list_imports_no_model_no_client_and_no_plugin(kaos: Kaos) -> None:
    loaded = modules_after(kaos, "mcp", "list", "--local")
    assert loaded.isdisjoint({"kubernetes", "kopf", "fastmcp", "pydantic", "mcp", "starlette", "httpx2"})
    assert not any(name.startswith("kaos_runtime") for name in loaded)


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)])
def test_the_bare_command_and_both_flags_print_the_same_help(kaos: Kaos, arguments: tuple[str, ...]) -> None:
    assert kaos(*arguments).stdout.startswith("Usage: kaos")
    assert kaos(*arguments).stdout == kaos("--help").stdout


def test_a_plugin_appears_when_it_is_installed_and_changes_when_it_does(kaos: Kaos, plugin: Site) -> None:
    assert "hello" not in kaos("--help").stdout
    module = plugin("hello", plugin.offering("hello"))
    assert "hello    Say hello." in kaos("--help").stdout
    module.write_text(plugin.offering("hello", text="Wave."))
    os.utime(module, ns=(1, 1))
    assert "hello    Wave." in kaos("--help").stdout
    assert "hello" not in kaos("--help", env={"KAOS_DISABLED_PLUGINS": "hello"}).stdout


def test_a_broken_plugin_costs_one_warning_line_each_time(kaos: Kaos, plugin: Site) -> None:
    plugin("broken", "raise ImportError('libpq')")
    for _ in range(2):
        done = kaos("--help")
        assert done.stderr == "warning: plugin broken (kaos-plugin-broken 1.2.3) is left out: ImportError: libpq\n"
        assert done.returncode == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"installed": 1}', "\0\0"])
def test_a_damaged_index_is_made_anew(kaos: Kaos, content: str) -> None:
    before = kaos("--help").stdout
    (index,) = (kaos.home / "cache" / "kaos").glob("*.json")
    whole = index.read_text()
    index.write_text(content)
    done = kaos("--help")
    assert (done.stdout, done.stderr) == (before, "")
    assert index.read_text() == whole


def test_without_a_place_for_the_index_help_works_all_the_same(kaos: Kaos) -> None:
    kaos.home.mkdir()
    (kaos.home / "cache").write_text("a file where the folder should be")
    done = kaos("--help")
    assert done.stdout.startswith("Usage: kaos")
    assert (done.returncode, done.stderr) == (0, "")


def test_strict_mode_fails_help_when_a_plugin_is_broken(kaos: Kaos, plugin: Site) -> None:
    plugin("broken", "raise ImportError('libpq')")
    for done in (kaos("--strict", "--help"), kaos("--help", env={"KAOS_STRICT_PLUGINS": "1"})):
        assert done.returncode == 1
        assert "libpq" in done.stderr
        assert done.stderr.startswith("error: ")
