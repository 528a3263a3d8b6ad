"""The registry's ConfigMaps come, break and go: servers follow at once, and what runs is left alone.

After a failure the operator would pause for minutes here: only an event wakes it.
"""

import json

import pytest

LABELS = {"kaos.tools/runtime-registry": "true"}
ONE = "runtimes:\n  homemade:\n    type: python\n    image: example.test/homemade:1.0.0\n"


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_RETRY_FIRST": "300"}


def overlay(world, name, text):
    meta = {"name": name, "labels": LABELS}
    world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"runtimes.yaml": text}})


def image(world, name):
    return world.get("Deployment", f"mcpserver-{name}")["spec"]["template"]["spec"]["containers"][0]["image"]


def test_a_runtime_that_comes_later_is_used_at_once(world):
    """F24: unknown, with the names that are known; programmed as soon as a ConfigMap brings it."""
    world.create(world.server("early", runtime="homemade", params=None))
    world.create(world.server("bystander"))
    world.until_programmed("bystander")
    said = world.until_condition("MCPServer", "early", "Accepted", "False", "UnknownRuntime")
    assert "rawpython" in said["message"]
    assert [each["metadata"]["name"] for each in world.list("Deployment")] == ["mcpserver-bystander"]
    mark = world.plane.mark()

    overlay(world, "later", ONE)

    world.until_programmed("early")
    world.quiet(1)
    assert image(world, "early") == "example.test/homemade:1.0.0"
    assert {r.name for r in world.writes(mark) if r.resource != "events"} == {"early", "mcpserver-early"}
    runtimes = world.get("ConfigMap", "kaos-operator-info")["data"]["runtimes"]
    assert "homemade" in [each["name"] for each in json.loads(runtimes)]


BROKEN = {
    "no yaml": "runtimes: [unclosed\n",
    "wrong types": "runtimes: 7\n",
    "wrong entry": "runtimes:\n  made:\n    type: 7\n    image: [1]\n",
    "deleted": None,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_registry_that_breaks_leaves_what_runs(world, oracles, how):
    """F25: broken or gone: the last good counts or the server is told, built-ins stay, children are byte-identical."""
    name = how.replace(" ", "-")
    overlay(world, f"breaking-{name}", ONE.replace("homemade", "made"))
    world.create(world.server(name, runtime="made", params=None))
    world.create(world.server(f"{name}-builtin"))
    world.until_programmed(name)
    world.until_programmed(f"{name}-builtin")
    world.quiet(1)
    running = [(kind, f"mcpserver-{each}") for kind in ("Deployment", "Service") for each in (name, f"{name}-builtin")]

    with oracles.unchanged(*running, ("MCPServer", f"{name}-builtin")):
        if BROKEN[how] is None:
            world.delete("ConfigMap", f"breaking-{name}")
            world.until_condition("MCPServer", name, "Accepted", "False", "UnknownRuntime")
        else:
            world.merge("ConfigMap", f"breaking-{name}", {"data": {"runtimes.yaml": BROKEN[how]}})
            world.until(lambda: told(world, f"breaking-{name}"))
            assert world.operator.metrics()["kaos_registry_valid"] == 0
        world.create(world.server(f"{name}-new"))
        world.until_programmed(f"{name}-new")
        world.quiet()

    if BROKEN[how] is not None:
        assert [event["reason"] for event in told(world, f"breaking-{name}")] == ["InvalidRegistry"]
        world.delete("ConfigMap", f"breaking-{name}")
    world.until(lambda: world.operator.metrics()["kaos_registry_valid"] == 1)


def told(world, config_map):
    return [event for event in world.list("Event") if event["involvedObject"]["name"] == config_map]


def test_a_registry_that_cannot_be_stored_changes_nothing(world):
    """F25: more than 1 MiB never gets past the API server."""
    overlay(world, "large", ONE)
    status, _ = world.plane.request(
        "PATCH",
        world.path("ConfigMap", "large"),
        {"data": {"runtimes.yaml": ONE + "#" * (1 << 20)}},
        content_type="application/merge-patch+json",
    )
    assert status == 422
    assert world.operator.metrics()["kaos_registry_valid"] == 1
    world.delete("ConfigMap", "large")


def test_a_dependency_that_comes_later_wakes_who_waits(world):
    """F24, for agents: Waiting names what is missing; the ModelAPI's arrival is looked at at once."""
    spec = {"modelAPI": "brain", "model": "m", "instructions": "Be brief."}
    world.create(world.server("thinker", kind="Agent", **spec))
    said = world.until(
        lambda: (
            world.condition("Agent", "thinker", "Ready").get("reason") and world.condition("Agent", "thinker", "Ready")
        )
    )
    assert "brain" in said["message"]

    model = {"mode": "Proxy", "proxyConfig": {"models": ["m"], "apiBase": "http://127.0.0.1:9"}}
    world.create(world.server("brain", kind="ModelAPI", **model))

    world.until_programmed("brain", kind="ModelAPI")
