"""Plugins from elsewhere, as people install them: a third party's works like our own, a broken one costs one line."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kaos_core.settings import KAOS_VERSION

ROOT = Path(__file__).parent.parent
ECHO = ROOT / "examples" / "kaos-runtime-echo"
FAKES = Path(__file__).parent / "data" / "plugins"
BROKEN = {
    "importerror": r"ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    "wrong-hook": r"kaos_runtime\b",
    "bad-argument": r"cluster\b",
    "bad-runtime": r"is no Runtime",
}
"""Fake distribution -> what its warning names."""


@pytest.fixture
def with_echo(kaos: Any, python_with_echo: str) -> Any:
    """`kaos` in an environment that has the third party's runtime."""
    kaos.python = python_with_echo
    return kaos


# A plugin of a third party.


def test_the_third_party_runtime_is_shorter_than_thirty_lines():
    files = [ECHO / "pyproject.toml", ECHO / "src" / "kaos_runtime_echo" / "__init__.py"]
    assert sum(len(file.read_text().splitlines()) for file in files) < 30


def test_the_third_party_runtime_pins_this_version_of_the_core():
    project = tomllib.loads((ECHO / "pyproject.toml").read_text())["project"]
    assert f"kaos-tools-core=={KAOS_VERSION}" in project["dependencies"]


def test_an_installed_runtime_is_listed_with_its_plugin(with_echo: Any):
    listed = with_echo("system", "runtimes", "-o", "wide")
    assert listed.returncode == 0
    assert listed.stderr == ""
    assert re.search(r"^echo +python +Says what it hears +- +plugin kaos-runtime-echo 0\.1\.0$", listed.stdout, re.M)
    plugins = with_echo("plugins", "list")
    assert re.search(r"^echo +0\.1\.0 +ok +\W*echo\W+runtimes\W+-$", plugins.stdout, re.M)


def test_a_runtime_that_is_not_installed_is_unknown(kaos: Any):
    """The other tests would show nothing if it were there anyway."""
    done = kaos("mcp", "deploy", "parrot", "--runtime", "echo", "--local")
    assert done.returncode == 2
    assert "unknown runtime: echo (available: [" in done.stderr


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_installed_runtime_deploys_on_this_machine(with_echo: Any, mode: Any):
    from fastmcp import Client

    async def call(url: str) -> Any:
        async with Client(url, mode=mode, timeout=60) as client:
            return (await client.call_tool("echo", {"text": "Hello"})).data

    arguments = ["--runtime", "echo", "--params", "Parrot says: "]
    done = with_echo("mcp", "deploy", "parrot", *arguments, "--local", "--wait")
    assert done.returncode == 0, done.stderr
    assert asyncio.run(call(with_echo.url("parrot"))) == "Parrot says: Hello"


def test_the_tests_of_the_third_party_runtime_pass(with_echo: Any, python_with_echo: str, tmp_path: Path):
    """`check_plugin`, as the tutorial has an author write it."""
    # Outside of this repository, as an author's project is: our own conftest is none of its business.
    tests = shutil.copytree(ECHO / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [python_with_echo, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(tests)],
        cwd=tmp_path,
        env=with_echo.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# Plugins that are broken.


def fakes(*names: str) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(str(FAKES / name) for name in names)}


def test_every_broken_plugin_is_tested_here():
    assert {path.name for path in FAKES.iterdir()} == {"good", *BROKEN}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plugin_costs_one_warning_line(kaos: Any, broken: str):
    listed = kaos("system", "runtimes", env=fakes("good", broken))
    assert listed.returncode == 0
    assert re.search(r"^good +go +Works", listed.stdout, re.M)
    (line,) = listed.stderr.splitlines()
    assert line.startswith("warning: ")
    assert f"kaos-plugin-{broken} 1.2.3" in line
    assert re.search(BROKEN[broken], line)


def test_a_good_plugin_costs_no_warning(kaos: Any):
    listed = kaos("system", "runtimes", env=fakes("good"))
    assert (listed.returncode, listed.stderr) == (0, "")


@pytest.mark.parametrize("broken", BROKEN)
def test_the_list_of_plugins_says_what_is_wrong_with_each(kaos: Any, broken: str):
    listed = kaos("plugins", "list", env=fakes("good", broken))
    assert listed.returncode == 0
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith(broken)]
    assert re.search(rf"^{broken} +1\.2\.3 +failed .*{BROKEN[broken]}", row)


def test_a_broken_plugin_stops_strict_mode_and_can_be_switched_off(kaos: Any):
    strict = {"KAOS_STRICT_PLUGINS": "1"}
    assert kaos("system", "runtimes", env=fakes("importerror") | strict).returncode != 0
    off = {"KAOS_DISABLED_PLUGINS": "importerror"}
    listed = kaos("system", "runtimes", env=fakes("importerror") | strict | off)
    assert (listed.returncode, listed.stderr) == (0, "")


def test_servers_of_other_runtimes_are_served_beside_broken_plugins(kaos: Any):
    done = kaos("up", "-d", ROOT / "examples" / "01-quickstart", env=fakes(*BROKEN))
    assert done.returncode == 0, done.stderr
