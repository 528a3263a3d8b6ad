"""The counts that oracles ask for."""

from __future__ import annotations

import threading
import time

import pytest

from faultproxy import Delay, Match, Rule


def test_every_request_is_recorded_with_what_became_of_it(server, proxy, client):
    client.ask("POST", "/x?a=%20b", b"{}", User_Agent="op/1", Authorization="Bearer secret").read()
    watch = client.watch()
    first, second = proxy.requests()
    assert (first.number, first.method, first.path, first.target) == (1, "POST", "/x", "/x?a= b")
    assert (first.user_agent, first.is_watch, first.is_write) == ("op/1", False, True)
    assert (first.status, first.server_status) == (201, 201)
    assert first.time <= first.sent <= first.ended
    assert (second.is_watch, second.is_write, second.status, second.ended) == (True, False, 200, None)
    assert "secret" not in repr(first)
    watch.close()


def test_writes_are_what_would_change_something(proxy, client):
    for method, target in [
        ("POST", "/api/v1/namespaces/x/services"),
        ("PATCH", "/apis/apps/v1/namespaces/x/deployments/y?fieldManager=kaos-operator"),
        ("PATCH", "/apis/apps/v1/namespaces/x/deployments/y?dryRun=All"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/x/leases/op"),
        ("PATCH", "/api/v1/namespaces/x/configmaps/kaos-operator-info?force=true"),
        ("DELETE", "/api/v1/namespaces/x/configmaps/kaos-operator-information"),
        ("GET", "/api/v1/namespaces/x/services"),
    ]:
        client.ask(method, target).read()
    assert [request.method for request in proxy.writes()] == ["POST", "PATCH", "DELETE"]
    assert len(proxy.writes(bookkeeping=True)) == 5
    assert len(proxy.writes(match=Match(path="/deployments/"))) == 1


def test_counts_may_begin_at_a_moment(proxy, client):
    client.ask("POST", "/x").read()
    since = time.monotonic()
    client.ask("POST", "/y").read()
    assert [request.path for request in proxy.requests(since)] == ["/y"]
    assert len(proxy.writes(since)) == 1


def test_the_most_in_flight_is_counted_with_and_without_watches(proxy, connect):
    connect().watch()
    held = proxy.add(Rule(Match("POST"), Delay()))
    askers = [threading.Thread(target=lambda: connect().ask("POST", "/x", b"{}").read()) for _ in range(5)]
    for asker in askers:
        asker.start()
    held.wait(fired=5)
    proxy.heal()
    for asker in askers:
        asker.join(10)
    assert (proxy.in_flight_max(), proxy.in_flight_max(watches=True)) == (5, 6)


def test_quiet_is_when_nothing_came_and_nothing_is_under_way(proxy, client, connect):
    client.watch()
    proxy.wait_quiet(0.05)
    held = proxy.add(Rule(Match("POST"), Delay()))
    asker = threading.Thread(target=lambda: connect().ask("POST", "/x", b"{}").read())
    asker.start()
    held.wait()
    with pytest.raises(TimeoutError, match="POST"):
        proxy.wait_quiet(0.05, timeout=0.2)
    proxy.heal()
    asker.join(10)
    proxy.wait_quiet(0.05)
