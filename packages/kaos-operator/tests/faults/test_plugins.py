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
PRINTS = f"print('to stdout')\n{HOOK}print('again')\n    return ()\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in {**BROKEN, "prints": PRINTS}.items():
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

    assert world.operator.metrics()["kaos_plugin_failures"] == len(BROKEN)
    info = world.until(lambda: world.get("ConfigMap", "kaos-operator-info"))["data"]
    plugins = {each["name"]: each.get("failure", "") for each in json.loads(info["plugins"])}
    assert {name for name, failure in plugins.items() if failure} == set(BROKEN)
    assert "prints" in plugins
    names = {each["name"] for each in json.loads(info["runtimes"])}
    assert {"rawpython", "custom", "slack"} <= names
