"""F26: plugins that break in every way, really installed beside the operator. A broken one costs only itself."""

import json
import textwrap

import pytest

HOOK = "from kaos_core.hookspecs import hookimpl\n\n@hookimpl\ndef kaos_runtimes():\n    "
BROKEN = {
    "raises_at_import": "raise RuntimeError('no')\n",
    "exits_at_import": "import sys\nsys.exit(3)\n",
    "raises_in_hook": f"{HOOK}raise RuntimeError('no')\n",
    "returns_garbage": f"{HOOK}return 7\n",
    "returns_half": f"{HOOK}return [object()]\n",
}
HANGS = """import time
from kaos_core.hookspecs import hookimpl

@hookimpl
def kaos_validate():
    time.sleep(300)
"""
PRINTS = f"print('to stdout')\n{HOOK}print('again')\n    return ()\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in {**BROKEN, "hangs": HANGS, "prints": PRINTS}.items():
        (folder / f"{name}.py").write_text(text)
        facts = folder / f"faulty_{name}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: faulty-{name}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(textwrap.dedent(f"[kaos]\n{name} = {name}\n"))
    return {"PYTHONPATH": str(folder)}


def test_broken_plugins_are_named_and_cost_nobody_else(world):
    """F26: the operator starts, names each that failed, and serves the runtimes of all others."""
    world.create(world.server("healthy"))
    world.until_programmed("healthy")

    assert world.operator.metrics()["kaos_plugin_failures"] == len(BROKEN) + 1
    world.until(lambda: set(told(world)) == {*BROKEN, "hangs"})
    assert told(world)["hangs"] == "kaos_validate hung: it took more than 5 s"
    warned = world.condition("MCPServer", "healthy", "Accepted")["message"]
    assert "plugin hangs" in warned
    info = world.get("ConfigMap", "kaos-operator-info")["data"]
    assert "prints" in {each["name"] for each in json.loads(info["plugins"])}
    names = {each["name"] for each in json.loads(info["runtimes"])}
    assert {"rawpython", "custom", "slack"} <= names


def told(world):
    """The plugins that failed and why, as the cluster is told."""
    info = (world.get("ConfigMap", "kaos-operator-info") or {}).get("data", {})
    return {each["name"]: each["failure"] for each in json.loads(info.get("plugins", "[]")) if "failure" in each}
