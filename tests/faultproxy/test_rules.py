"""Which requests a rule is about, and how often it fires."""

from __future__ import annotations

import pytest

from faultproxy import Answer, Delay, Drop, Inject, Match, Replay, Rule, Tape, Truncate


def statuses(client, count, method="GET", target="/api/v1/things"):
    found = []
    for _ in range(count):
        response = client.ask(method, target)
        response.read()
        found.append(response.status)
    return found


def test_a_rule_fires_from_the_nth_match_as_often_as_it_counts(proxy, client):
    handle = proxy.add(Rule(Match("GET"), Answer(503), nth=2, count=2))
    assert statuses(client, 5) == [200, 503, 503, 200, 200]
    assert (handle.matched, handle.fired) == (5, 2)


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        (Match(), ["list", "watch", "post", "lease"]),
        (Match("POST"), ["post"]),
        (Match({"POST", "PUT"}), ["post", "lease"]),
        (Match(path=r"things\?labelSelector=app=x"), ["watch"]),
        (Match(path=r"/leases/"), ["lease"]),
        (Match(watch=True), ["watch"]),
        (Match(watch=False, write=False), ["list"]),
        (Match(write=True), ["post", "lease"]),
        (Match(user_agent="^op/"), ["post"]),
        (Match(where=lambda request: request.headers.get("authorization") == "Bearer old"), ["list"]),
    ],
)
def test_a_match_holds_by_everything_that_it_names(proxy, client, match, meant):
    proxy.add(Rule(match, Answer(418)))
    proxy.add(Rule(Match(watch=True), Answer(200)))
    lease = "/apis/coordination.k8s.io/v1/namespaces/x/leases/op"
    asked = {
        "list": lambda: client.ask(Authorization="Bearer old"),
        "watch": lambda: client.watch("labelSelector=app%3Dx&watch=true"),
        "post": lambda: client.ask("POST", "/api/v1/things", b"{}", User_Agent="op/1"),
        "lease": lambda: client.ask("PUT", lease),
    }
    refused = []
    for name, ask in asked.items():
        response = ask()
        response.read()
        if response.status == 418:
            refused.append(name)
    assert refused == meant


def test_the_same_seed_gives_the_same_faults(proxy, client):
    drawn = []
    for seed in (1, 1, 2):
        handle = proxy.add(Rule(Match("GET"), Answer(500), probability=0.5, seed=seed))
        drawn.append(statuses(client, 20))
        handle.remove()
    assert drawn[0] == drawn[1] != drawn[2]
    assert 0 < drawn[0].count(500) < 20


def test_rules_are_asked_in_their_order_and_one_that_answers_ends_it(proxy, client):
    first = proxy.add(Rule(Match("GET"), Answer(409), count=1))
    second = proxy.add(Rule(Match("GET"), Answer(403), count=1))
    assert statuses(client, 3) == [409, 403, 200]
    assert (first.matched, second.matched) == (3, 2)


def test_a_removed_rule_does_nothing_and_heal_removes_all(proxy, client):
    first = proxy.add(Rule(Match(), Answer(500)))
    first.remove()
    first.remove()
    assert statuses(client, 1) == [200]
    proxy.add(Rule(Match(), Answer(500)))
    proxy.add(Rule(Match(), Drop()))
    proxy.heal()
    assert statuses(client, 1) == [200]


def test_a_rule_that_never_fires_is_named_with_the_last_requests(proxy, client):
    handle = proxy.add(Rule(Match("PATCH"), Delay(0)))
    client.names()
    with pytest.raises(TimeoutError, match=r"fired 0 of 1 times.*\n.*GET.*things"):
        handle.wait(timeout=0.01)


@pytest.mark.parametrize(
    ("actions", "when", "why"),
    [
        ((), None, "needs an action"),
        ((Truncate(),), "before", "concern the response"),
        ((Inject(b"x"),), "before", "concern the response"),
        ((Replay(Tape()),), "after", "done before"),
    ],
)
def test_a_rule_that_could_never_work_is_refused(actions, when, why):
    with pytest.raises(ValueError, match=why):
        Rule(Match(), *actions, when=when)
