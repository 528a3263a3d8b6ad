"""Which replica writes, whatever the clocks say; and how one leaves."""

import time

import pytest

from controlplane.operators import OperatorProcess
from faultproxy import Delay, Match, Rule

CLOCK = """
import datetime, os, pathlib, time

real = time.time
file = pathlib.Path(os.environ["FAULTS_CLOCK"])

def offset():
    return float(file.read_text())

class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=offset())

time.time = lambda: real() + offset()
datetime.datetime = Shifted
"""
"""No Linux call gives one process another wall clock without privileges: so Python's own is moved."""


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """The file that says by how many seconds a replica's wall clock is off."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "sitecustomize.py").write_text(CLOCK)
    (folder / "offset").write_text("0")
    return folder / "offset"


def shifted(clock):
    return {"PYTHONPATH": str(clock.parent), "FAULTS_CLOCK": str(clock)}


@pytest.fixture(scope="module")
def settings(clock):
    return {**shifted(clock), "KAOS_LEASE_SECONDS": "3"}


@pytest.fixture
def second(world, control_plane, login, settings, tmp_path):
    """Another replica, whose clock is 90 seconds ahead."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    offset = tmp_path / "offset"
    offset.write_text("90")
    more = {**settings, **shifted(offset)}
    with OperatorProcess(control_plane, world.namespace, [world.namespace], more, login) as replica:
        yield replica


def leads(operator):
    return operator.metrics()["kaos_leader"] == 1


def lease(world):
    return world.get("Lease", "kaos-operator")["spec"]


def renewals(world, count):
    """Wait until the Lease has been renewed that often; every holder seen meanwhile."""
    holders, times = set(), set()

    def look():
        spec = lease(world)
        holders.add(spec["holderIdentity"])
        times.add(spec["renewTime"])
        return len(times) > count

    world.until(look)
    return holders


def test_a_clock_that_jumps_changes_nothing(world, clock):
    """F42: two hours ahead and two hours back: the same leader, the same term, and nobody is looked at again."""
    world.create(world.server("timeless"))
    world.until_programmed("timeless")
    world.quiet()
    reconciles = 'kaos_reconciles_total{kind="MCPServer",result="done"}'
    before, term, mark = world.operator.metrics()[reconciles], lease(world)["leaseTransitions"], world.plane.mark()

    for offset in ("7200", "-7200", "0"):
        clock.write_text(offset)
        assert len(renewals(world, 3)) == 1

    assert leads(world.operator)
    assert lease(world)["leaseTransitions"] == term
    assert world.operator.metrics()[reconciles] == before
    assert world.writes(mark) == []


@pytest.mark.parametrize("skew", ["-90", "7200"])
def test_two_replicas_with_other_clocks_never_both_lead(world, clock, second, skew):
    """F42: however far the clocks are apart, the second waits while the first renews, and takes over when it stops."""
    clock.write_text(skew)
    world.until(lambda: leads(world.operator))
    assert len(renewals(world, 5)) == 1
    assert not leads(second)

    world.operator.kill()
    second.until(lambda: leads(second))
    world.operator.start()
    world.create(world.server(f"skewed{skew}"))
    second.until(lambda: world.condition("MCPServer", f"skewed{skew}", "Programmed").get("status") == "True")
    assert not leads(world.operator)
    assert second.stop() == 0
    world.until(lambda: leads(world.operator))


def test_a_leader_whose_lease_runs_out_writes_nothing_and_stays_alive(world, proxy, writing):
    """F42: the Lease cannot be renewed: nothing is written from then on, and all of it when it can be again."""
    world.until(lambda: leads(world.operator))
    cut = proxy.add(Rule(Match(path="/leases/"), Delay()))
    cut.wait()
    world.create(world.server("lapsed"))
    refused = 'kaos_reconciles_total{kind="MCPServer",result="not leader"}'
    replicas = iter(range(1, 1000))

    def edited():
        world.edit("MCPServer", "lapsed", replicas=next(replicas))
        return refused in world.operator.metrics()

    world.until(edited)
    since = time.monotonic()
    world.edit("MCPServer", "lapsed", replicas=0)
    assert world.operator.ask("/healthz")[0] == 200
    cut.remove()

    world.until_programmed("lapsed")
    renewed = next(r.ended for r in proxy.requests(match=Match("PUT", "/leases/")) if r.time > since)
    assert [r for r in proxy.writes(since, writing("lapsed")) if r.time < renewed] == []


def test_a_terminated_operator_finishes_and_gives_the_lease_back(world, proxy, writing):
    """F48: SIGTERM in the middle of a resource: it is finished, the Lease is free, the exit code is 0."""
    slow = proxy.add(Rule(writing("/services/mcpserver-last"), Delay(2)))
    world.create(world.server("last"))
    slow.wait()

    assert world.operator.stop() == 0

    written = [r.path.rpartition("/namespaces/")[2].partition("/")[2] for r in proxy.writes(match=writing("last"))]
    assert written == ["services/mcpserver-last", "deployments/mcpserver-last", "mcpservers/last/status"]
    assert lease(world)["holderIdentity"] == ""
    world.operator.start()
