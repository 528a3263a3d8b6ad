"""SIGKILL at every write: whatever was done and whatever was not, the next start ends where an undisturbed one does."""

import threading
import time

import pytest

from faultproxy import Call, Drop, Rule

LARGE = "def add(a: int, b: int) -> int:\n    return a + b\n" + "# long\n" * 12000
"""More than fits into a variable: it goes into a ConfigMap."""
CUSTOM = {"runtime": "custom", "params": None, "container": {"image": "example.test/other:1.0.0"}}


def create(world, name):
    world.create(world.server(name))


def create_large(world, name):
    world.create(world.server(name, params=LARGE))


def nothing(world, name):
    pass


def edit(world, name):
    world.edit("MCPServer", name, params=LARGE)


def shrink(world, name):
    world.edit("MCPServer", name, params=world.ADD)


def change_runtime(world, name):
    world.edit("MCPServer", name, **CUSTOM)


STORIES = {
    "create": (nothing, create),
    "edit": (create, edit),
    "delete": (create_large, shrink),
    "runtime": (create_large, change_runtime),
}
"""What is there before, and what is done; `delete` is that of a child, since a resource's own takes no write."""
WRITES = {"create": 3, "edit": 3, "delete": 3, "runtime": 3}


@pytest.mark.parametrize("story", STORIES)
def test_a_kill_at_any_write_leaves_nothing_behind(world, proxy, oracles, writing, story):
    """F1: before and after each write of a story, every run ends with the same objects, in as many writes."""
    prepare, act = STORIES[story]
    moments = [(when, nth) for nth in range(1, WRITES[story] + 1) for when in ("before", "after")]
    names = {moment: f"{story}-{moment[0]}-{moment[1]}" for moment in moments}
    reference = f"{story}-undisturbed"
    for name in (reference, *names.values()):
        prepare(world, name)
    for name in (reference, *names.values()):
        if prepare is not nothing:
            world.until_programmed(name)
    world.quiet(0.5)
    since = time.monotonic()
    act(world, reference)
    world.until_programmed(reference)
    world.quiet(0.5)
    wanted = oracles.shape(reference)
    assert len(proxy.writes(since, writing(reference))) == WRITES[story]

    for (when, nth), name in names.items():
        dead = threading.Event()

        def kill(_, dead=dead):
            world.operator.kill()
            dead.set()

        rule = proxy.add(Rule(writing(name), Call(kill), Drop(), when=when, nth=nth, count=1))
        act(world, name)
        assert dead.wait(60), (name, rule.matched)
        rule.remove()
        world.operator.start()
        world.until(lambda name=name: oracles.shape(name) == wanted)

    oracles.steady()
    for name in (reference, *names.values()):
        assert oracles.shape(name) == wanted
        done = [r for r in proxy.writes(since, writing(name)) if (r.server_status or 599) < 300]
        assert len(done) == WRITES[story], name


def test_a_resource_deleted_while_it_is_down_is_not_made_again(world, oracles):
    """F1 (delete): nothing is written for a resource that is gone; its children are the garbage collector's."""
    world.create(world.server("gone"))
    world.until_programmed("gone")
    world.operator.kill()
    world.delete("MCPServer", "gone")
    mark = world.plane.mark()

    world.operator.start()

    world.quiet()
    assert world.writes(mark) == []
    for child in oracles.children("gone"):
        world.delete(child["kind"], child["metadata"]["name"])
    oracles.steady()
    assert oracles.children("gone") == []
