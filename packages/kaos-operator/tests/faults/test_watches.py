"""Watches that fail in every way a network and an API server know: no event is lost, and nothing is written for it."""

import time
from collections import Counter

import pytest

from controlplane.programs import free_ports
from faultproxy import (
    BOOKMARK_WITHOUT_METADATA,
    MALFORMED,
    UNKNOWN_TYPE,
    Answer,
    CloseWatch,
    Delay,
    DuplicateLines,
    HalfOpen,
    HoldLines,
    Inject,
    LoseLines,
    Match,
    Rule,
    Truncate,
    error_event,
)

WATCHES = Match(watch=True)
SERVERS = Match(watch=True, path="/mcpservers")
MUL = "def mul(a: int, b: int) -> int:\n    return a * b\n"
UNHEALTHY = 8


@pytest.fixture(scope="module")
def settings():
    return {
        "KAOS_STREAM_SILENCE": "3",
        "KAOS_UNHEALTHY_SILENCE": str(UNHEALTHY),
        "KAOS_HTTP_PORT": str(free_ports(1)[0]),
    }


def wrote(world, mark):
    return sorted((r.verb, r.resource, r.subresource, r.name) for r in world.writes(mark))


def change_unseen(world, proxy, oracles, prefix):
    """Edit one server, delete one, and delete a child of a third, while no watch says so; the names of the three."""
    edited, deleted, robbed = (f"{prefix}-{what}" for what in ("edited", "deleted", "robbed"))
    for name in (edited, deleted, robbed):
        world.create(world.server(name))
    for name in (edited, deleted, robbed):
        world.until_programmed(name)
    world.quiet(1)
    blind = proxy.add(Rule(WATCHES, LoseLines()))
    world.edit("MCPServer", edited, params=MUL)
    world.delete("MCPServer", deleted)
    for child in oracles.children(deleted):
        world.delete(child["kind"], child["metadata"]["name"])
    world.delete("Service", f"mcpserver-{robbed}")
    return edited, deleted, robbed, blind


def all_is_made_good(world, oracles, mark, edited, deleted, robbed):
    """What was not seen is done, and nothing else."""
    world.until_programmed(edited)
    world.until(lambda: world.get("Service", f"mcpserver-{robbed}"))
    world.quiet()
    assert wrote(world, mark) == [
        ("patch", "deployments", "", f"mcpserver-{edited}"),
        ("patch", "mcpservers", "status", edited),
        ("patch", "services", "", f"mcpserver-{robbed}"),
    ]
    assert oracles.children(deleted) == []


def break_streams(proxy, line):
    """Every stream that runs gets that line and ends."""
    broken = proxy.add(Rule(WATCHES, Inject(line, close=True)))
    broken.wait(fired=1)
    broken.remove()


def test_a_version_that_is_too_old_costs_a_new_list(world, proxy, oracles):
    """F7: after 410 Gone what changed unseen is found, what went away too, and nothing else is written."""
    edited, deleted, robbed, blind = change_unseen(world, proxy, oracles, "gone")
    mark = world.plane.mark()
    break_streams(proxy, error_event(410))
    blind.remove()

    all_is_made_good(world, oracles, mark, edited, deleted, robbed)


@pytest.mark.parametrize("code", [500, 503])
def test_an_error_in_a_stream_costs_a_new_start_of_the_watches(world, proxy, oracles, code):
    """F8: an ERROR in the stream, which ends kopf: the process stays, serves again and lost nothing."""
    edited, deleted, robbed, blind = change_unseen(world, proxy, oracles, f"error{code}")
    mark, pid = world.plane.mark(), world.operator.pid
    break_streams(proxy, error_event(code))
    blind.remove()

    all_is_made_good(world, oracles, mark, edited, deleted, robbed)
    assert world.operator.pid == pid


def test_a_watch_that_is_silent_for_too_long_is_opened_again(world, proxy):
    """F9: connections without any byte and without an end; an edit made meanwhile is applied."""
    world.create(world.server("silent"))
    world.until_programmed("silent")
    dead = proxy.add(Rule(WATCHES, HalfOpen(new=False)))
    dead.wait(fired=1)

    world.edit("MCPServer", "silent", params=MUL)

    world.until_programmed("silent")
    assert world.operator.ask("/healthz")[0] == 200


def test_health_says_so_while_no_watch_gets_through(world, proxy):
    """F9: /healthz is 503 as long as watches are silent for longer than they may be, and 200 again afterwards."""
    world.create(world.server("deaf"))
    world.until_programmed("deaf")
    dead = proxy.add(Rule(WATCHES, HalfOpen()))

    world.until(lambda: world.operator.ask("/healthz")[0] == 503)
    world.edit("MCPServer", "deaf", params=MUL)
    dead.remove()

    world.until(lambda: world.operator.ask("/healthz")[0] == 200)
    world.until_programmed("deaf")


def test_a_watch_that_is_closed_all_the_time_loses_nothing(world, proxy, oracles):
    """F10: closed every 200 ms: every object and every edit counts, requests stay few, memory stays as it is."""
    names = [f"torn-{number}" for number in range(6)]
    before, began = oracles.memory(), time.monotonic()
    torn = proxy.add(Rule(SERVERS, CloseWatch(0.2)))
    for name in names:
        world.create(world.server(name))
        world.until_programmed(name)
        world.edit("MCPServer", name, params=MUL)
    torn.wait(fired=15, timeout=60)
    for name in names:
        world.until_programmed(name)
    asked = proxy.requests(began, SERVERS)
    assert len(asked) <= 12 * (time.monotonic() - began)
    torn.remove()
    oracles.steady()
    assert oracles.memory() - before <= 64 << 20


@pytest.mark.parametrize("order", ["in order", "reversed"])
def test_a_name_that_came_back_has_children_of_the_new_object_only(world, proxy, oracles, order):
    """F14: ADDED, DELETED, ADDED of one name arrive late, or in the wrong order: the children are the new one's."""
    name = f"phoenix-{order[:2]}"
    held = proxy.add(Rule(SERVERS, HoldLines(f'"name":"{name}"', release=order)))
    world.create(world.server(name))
    world.delete("MCPServer", name)
    uid = world.create(world.server(name))["metadata"]["uid"]
    # A marker that nobody holds back comes after them in the stream.
    world.create(world.server(f"{name}-marker"))
    world.until_programmed(f"{name}-marker")
    held.remove()

    def collected():
        """What the garbage collector of a cluster does with children of an owner that is gone."""
        for child in oracles.children(name):
            if child["metadata"]["ownerReferences"][0]["uid"] != uid:
                world.delete(child["kind"], child["metadata"]["name"])
        return world.condition("MCPServer", name, "Programmed").get("status") == "True"

    world.until(collected)
    world.quiet()
    children = oracles.children(name)
    assert [child["kind"] for child in children] == ["Deployment", "Service"]
    assert {child["metadata"]["ownerReferences"][0]["uid"] for child in children} == {uid}


def test_a_status_reaches_only_the_object_that_it_is_about(world, proxy):
    """F14: a status write that is overtaken by the end of its object: the next one of that name does not get it."""
    name = "overtaken"
    path = f"/mcpservers/{name}/status"
    held = proxy.add(Rule(Match("PATCH", path), Delay()))
    world.create(world.server(name))
    held.wait(fired=1)
    world.delete("MCPServer", name)
    world.create(world.server(name))
    mark = world.plane.mark()
    held.remove()

    world.until(lambda: (world.get("MCPServer", name) or {}).get("status"))
    codes = [r.code for r in world.writes(mark) if r.name == name and r.subresource == "status"]
    assert codes[0] != 200
    assert world.condition("MCPServer", name, "Programmed")["status"] != "True"


def test_a_child_that_went_before_its_answer_came_is_made_again(world, proxy):
    """F14: the Deployment is deleted, and the watch says so, before the operator hears that it was made."""
    name = "belated"
    held = proxy.add(Rule(Match("PATCH", f"/deployments/mcpserver-{name}"), Delay(), when="after", count=1))
    world.create(world.server(name))
    held.wait(fired=1)
    first = world.until(lambda: world.get("Deployment", f"mcpserver-{name}"))
    world.delete("Deployment", f"mcpserver-{name}")
    # What is told after it has been heard when this has been made, and so has the deletion.
    world.create(world.server(f"{name}-marker"))
    world.until_programmed(f"{name}-marker")
    held.remove()

    world.until_programmed(name)
    again = world.until(lambda: world.get("Deployment", f"mcpserver-{name}"))
    assert again["metadata"]["uid"] != first["metadata"]["uid"]


def test_what_an_object_left_is_replaced_when_the_collector_has_taken_it(world, oracles):
    """F14: the name comes back before the garbage collector has come: the old children stay the old one's."""
    name = "heir"
    old = world.create(world.server(name))["metadata"]["uid"]
    world.until_programmed(name)
    world.delete("MCPServer", name)
    new = world.create(world.server(name))["metadata"]["uid"]
    said = world.until(lambda: (world.get("MCPServer", name) or {}).get("status"))
    assert said["ready"] is False
    assert f"mcpserver-{name}" in said["message"]
    assert world.condition("MCPServer", name, "Programmed")["status"] != "True"

    for child in oracles.children(name):
        assert child["metadata"]["ownerReferences"][0]["uid"] == old
        world.delete(child["kind"], child["metadata"]["name"])

    world.until_programmed(name)
    assert {child["metadata"]["ownerReferences"][0]["uid"] for child in oracles.children(name)} == {new}


def test_the_same_event_a_thousand_times_is_one_reconcile(world, proxy):
    """F16: duplicated MODIFIED lines of one version: one look, no write."""
    world.create(world.server("echo"))
    world.until_programmed("echo")
    world.quiet()
    counted = 'kaos_reconciles_total{kind="MCPServer",result="done"}'
    before, mark = world.operator.metrics()[counted], world.plane.mark()
    proxy.add(Rule(SERVERS, DuplicateLines(1000, '"touched"'))).wait()

    world.merge("MCPServer", "echo", {"metadata": {"labels": {"touched": "yes"}}})

    world.until(lambda: world.operator.metrics()[counted] > before)
    world.quiet()
    assert world.operator.metrics()[counted] == before + 1
    assert world.writes(mark) == []


@pytest.mark.parametrize(
    "line", [BOOKMARK_WITHOUT_METADATA, UNKNOWN_TYPE, MALFORMED], ids=["bookmark", "unknown type", "malformed"]
)
def test_a_line_that_makes_no_sense_is_passed_over(world, proxy, line):
    """F17: a strange line costs a log line at most; what comes after it counts."""
    name = f"after-{line[9:12].lower().decode()}"
    before = len(world.operator.lines())
    strange = proxy.add(Rule(SERVERS, Inject(line), count=1))
    strange.wait()

    world.create(world.server(name))

    world.until_programmed(name)
    said = [each for each in world.operator.lines()[before:] if each.get("level") in ("WARNING", "ERROR")]
    about = Counter(each["logger"] for each in said if "SURPRISE" in str(each) or "JSONDecodeError" in str(each))
    assert not [logger for logger, count in about.items() if count > 1]


@pytest.mark.parametrize("tidy", [True, False], ids=["broken JSON", "broken connection"])
def test_half_a_list_is_no_list(world, proxy, oracles, tidy):
    """F18: lists that are cut are asked for again: nothing is taken for gone, nothing is written."""
    name = f"half-{'json' if tidy else 'connection'}"
    world.create(world.server(name))
    world.until_programmed(name)
    world.quiet(1)
    mark = world.plane.mark()
    lists = Match("GET", r"/(mcpservers|deployments|services)\?", watch=False)
    with oracles.unchanged(("MCPServer", name), ("Deployment", f"mcpserver-{name}"), ("Service", f"mcpserver-{name}")):
        cut = proxy.add(Rule(lists, Truncate(0.5, tidy=tidy), count=3))
        break_streams(proxy, error_event(410))
        cut.wait(fired=2, timeout=60)
        world.create(world.server(f"{name}-later"))
        world.until_programmed(f"{name}-later")
        world.quiet()
    assert {r.name.removeprefix("mcpserver-") for r in world.writes(mark)} == {f"{name}-later"}


@pytest.mark.parametrize("path", ["", "/mcpservers"], ids=["everything", "servers"])
def test_a_page_of_html_is_no_list(world, proxy, settings, path):
    """F19: an auth proxy's page with status 200 at the start: not ready, no write; and then it works."""
    name = f"page{len(path)}"
    world.create(world.server(name))
    world.until_programmed(name)
    world.quiet(1)
    world.operator.kill()
    page = Answer(200, "<html>Sign in</html>", headers={"Content-Type": "text/html"})
    rule = proxy.add(Rule(Match("GET", path, where=lambda r: "/leases" not in r.path), page))
    mark = world.plane.mark()

    world.operator.begin()
    rule.wait(fired=2, timeout=60)

    port = int(settings["KAOS_HTTP_PORT"])
    assert ask(port, "/readyz") == 503
    rule.remove()
    world.until(lambda: ask(port, "/readyz") == 200)
    world.create(world.server(f"{name}-later"))
    world.until_programmed(f"{name}-later")
    world.quiet()
    assert {r.name.removeprefix("mcpserver-") for r in world.writes(mark)} == {f"{name}-later"}


def ask(port, path):
    """A page of an operator that may not have said yet where it listens."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
