"""The start with much to look at, and the return of an API server that was away."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from faultproxy import Delay, Match, Outage, Rule

MUL = "def mul(a: int, b: int) -> int:\n    return a * b\n"
MANY = 200


def create_all(world, names):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: world.create(world.server(name)), names))


def all_programmed(world):
    def look():
        found = world.list("MCPServer")
        return all(
            (each.get("status") or {}).get("observedGeneration") == each["metadata"]["generation"]
            and any(c["type"] == "Programmed" and c["status"] == "True" for c in each["status"]["conditions"])
            for each in found
        )

    world.until(look, 110)


def test_a_fresh_edit_comes_before_the_backlog_of_a_start(world, proxy, writing):
    """F23: many unprogrammed servers at the start: few requests at once, and an edit made meanwhile does not wait."""
    names = [f"many-{number:04}" for number in range(MANY)]
    world.operator.stop()
    create_all(world, names)
    proxy.add(Rule(writing(), Delay(0.05)))
    since = time.monotonic()

    world.operator.begin()
    proxy.wait(lambda: len(proxy.writes(since)) >= 10, 60)
    world.create(world.server("urgent"))
    world.until_programmed("urgent")

    written = [r for r in proxy.writes(since) if "urgent" not in r.target]
    assert len(written) < 3 * MANY
    proxy.heal()
    all_programmed(world)
    assert proxy.in_flight_max(since) <= 64
    assert len(proxy.writes(since, writing(r"[/-]many-\d+"))) == 3 * MANY


def test_a_start_with_everything_converged_writes_nothing(world, proxy):
    """F23: as many converged servers at the start: no write, few requests at once; a fresh edit is served."""
    world.quiet()
    world.operator.kill()
    since = time.monotonic()

    world.operator.start()
    world.edit("MCPServer", "urgent", params=MUL)
    world.until_programmed("urgent")

    world.quiet()
    assert [r for r in proxy.writes(since) if "urgent" not in r.target] == []
    assert proxy.in_flight_max(since) <= 64


def test_many_idle_servers_are_not_asked_for(world, oracles):
    """F39: with all of them there: no request at all but watches and the Lease."""
    world.quiet()
    mark = world.plane.mark()
    oracles.steady(3)
    asked = world.plane.requests(mark, agent="kaos-operator", namespace=world.namespace)
    assert [r for r in asked if r.verb != "watch" and r.resource != "leases"] == []


def test_edits_made_while_the_server_was_away_are_all_applied(world, proxy, oracles):
    """F11: nobody listens for a while, 30 edits wait: all are applied after it, without a storm of requests."""
    names = [f"many-{number:04}" for number in range(30)]
    away = proxy.add(Rule(Match(), Outage()))
    for name in names:
        world.edit("MCPServer", name, params=MUL)
    time.sleep(6)
    back = time.monotonic()
    away.remove()

    for name in names:
        world.until_programmed(name)

    first = proxy.requests(back)[0].time
    assert len([r for r in proxy.requests(back) if r.time < first + 1]) <= 50 + 2 * len(names)
    oracles.steady()
    assert len(proxy.writes(back, Match(path=r"[/-]many-\d+"))) == 2 * len(names)


@pytest.mark.soak
def test_ten_idle_minutes_write_and_read_nothing(world):
    """F39: 200 servers and the whole ten minutes: no request but watches and the Lease."""
    create_all(world, [f"idle-{number:04}" for number in range(200)])
    all_programmed(world)
    world.quiet(60)
    mark = world.plane.mark()
    time.sleep(600)
    asked = world.plane.requests(mark, agent="kaos-operator", namespace=world.namespace)
    assert [r for r in asked if r.verb != "watch" and r.resource != "leases"] == []
