"""What the installation tells about itself: runtimes, plugins, versions, schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kaos_core.documents import load_all, load_one

if TYPE_CHECKING:
    from conftest import Kaos, Site

RUNTIMES = """\
NAME         TYPE      DESCRIPTION                                              SOURCE
rawpython    python    Execute Python code strings as MCP tools                 Built-in
kubernetes   go        Kubernetes API operations                                containers/kubernetes-mcp-server
slack        nodejs    Slack messaging integration                              zencoderai/slack-mcp-server
discord      python    Discord messaging integration                            hanweg/mcp-discord
fetch        python    Web content fetching                                     modelcontextprotocol/servers
custom       -         User-provided container image                            -
"""
WEATHER = """
from kaos_core.plugin import Runtime, hookimpl

@hookimpl
def kaos_runtimes():
    return [Runtime(name="{name}", type="python", image="registry.example/weather:v1", description="Weather")]
"""


def test_the_runtimes_are_the_table_of_the_proposal(kaos: Kaos) -> None:
    """S4.75."""
    done = kaos("system", "runtimes")
    assert (done.returncode, done.stdout, done.stderr) == (0, RUNTIMES, "")


def test_a_runtime_of_a_third_party_appears_with_its_origin(kaos: Kaos, plugin: Site) -> None:
    plugin("weather", WEATHER.format(name="weather"))
    lines = kaos("system", "runtimes", "-o", "wide").stdout.splitlines()
    assert lines[0].endswith("   ORIGIN")
    assert any(line.startswith("weather ") and "kaos-plugin-weather 1.2.3" in line for line in lines)
    assert kaos("system", "runtimes", "-o", "name").stdout.split()[-2:] == ["weather", "custom"]


def test_of_two_plugins_with_one_runtime_the_first_wins_with_a_warning(kaos: Kaos, plugin: Site) -> None:
    """B87."""
    plugin("aaa", WEATHER.format(name="weather").replace("Weather", "First"))
    plugin("bbb", WEATHER.format(name="weather").replace("Weather", "Second"))
    done = kaos("system", "runtimes")
    assert done.returncode == 0
    assert "First" in done.stdout
    assert "Second" not in done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("warning: ")
    assert "weather" in done.stderr
    for strict in (kaos("--strict", "system", "runtimes"), kaos("version", env={"KAOS_STRICT_PLUGINS": "1"})):
        assert (strict.returncode, strict.stdout) == (1, "")
        assert "weather" in strict.stderr


def test_a_broken_plugin_is_one_warning_and_stands_in_the_list(kaos: Kaos, plugin: Site) -> None:
    plugin("broken", "raise ImportError('libpq')")
    done = kaos("system", "runtimes")
    assert (done.returncode, done.stdout) == (0, RUNTIMES)
    assert done.stderr == "warning: plugin broken (kaos-plugin-broken 1.2.3) is left out: ImportError: libpq\n"
    assert kaos("system", "runtimes", env={"KAOS_STRICT_PLUGINS": "1"}).returncode == 1
    lines = kaos("plugins", "list", env={"KAOS_STRICT_PLUGINS": "1"}).stdout.splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "STATUS", "RUNTIMES", "HOOKS", "COMMANDS", "FAILURE"]
    (row,) = (line for line in lines if line.startswith("broken "))
    assert row.split(maxsplit=6) == ["broken", "1.2.3", "failed", "-", "-", "-", "ImportError: libpq"]


def test_the_list_of_plugins_says_what_each_adds(kaos: Kaos, plugin: Site) -> None:
    plugin("weather", WEATHER.format(name="weather") + plugin.offering("weather"))
    (found,) = (item for item in json.loads(kaos("plugins", "list", "-o", "json").stdout) if item["name"] == "weather")
    assert found == {
        "name": "weather",
        "distribution": "kaos-plugin-weather",
        "version": "1.2.3",
        "status": "ok",
        "runtimes": ["weather"],
        "hooks": ["kaos_commands", "kaos_runtimes"],
        "commands": ["weather"],
        "failure": "",
    }
    assert "FAILURE" not in kaos("plugins", "list").stdout


def test_the_version_is_one_line_or_json_with_the_plugins(kaos: Kaos, plugin: Site) -> None:
    plugin("weather", "raise RuntimeError('not imported for a version')")
    done = kaos("version")
    assert (done.stdout, done.stderr) == (kaos("--version").stdout, "")
    found = json.loads(kaos("version", "-o", "json").stdout)
    assert done.stdout == f"kaos {found['cli']}\n"
    assert {"name": "kaos-plugin-weather", "version": "1.2.3"} in found["plugins"]


@pytest.mark.parametrize("name", ["MCPServer", "mcpserver", "mcpservers", "mcp"])
def test_a_schema_is_found_by_every_name_of_its_kind(kaos: Kaos, name: str) -> None:
    schema: dict[str, Any] = json.loads(kaos("schema", name).stdout)
    assert "spec" in schema["properties"]


def test_the_kinds_are_listed_and_their_definitions_printed(kaos: Kaos) -> None:
    kinds = [line.split()[0] for line in kaos("schema").stdout.splitlines()[1:]]
    assert sorted(kinds) == ["Agent", "MCPServer", "ModelAPI"]
    definition = load_one(kaos("schema", "Agent", "--crd").stdout)
    assert definition["spec"]["names"]["kind"] == "Agent"
    documents = load_all(kaos("schema", "--crd").stdout)
    assert sorted(document.value["spec"]["names"]["kind"] for document in documents) == [
        "Agent",
        "MCPServer",
        "ModelAPI",
    ]
