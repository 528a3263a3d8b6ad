"""Requests refused, delayed, or answered too late: tried again as the server asks, done once, told truthfully."""

import time

import pytest

from controlplane import namespaces
from faultproxy import Answer, CloseWatch, Delay, Inject, Match, Rule, error_event

SERVERS = Match(watch=True, path="/mcpservers")


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_RETRY_LIMIT": "2", "KAOS_REQUEST_TIMEOUT": "3"}


@pytest.fixture(scope="module")
def neighbour(control_plane):
    """A second namespace that the operator serves."""
    name = namespaces.create(control_plane.client)
    yield name
    namespaces.delete(control_plane.client, name)


@pytest.fixture(scope="module")
def scope(home, neighbour):
    return [home, neighbour]


def test_a_conflict_on_the_status_is_tried_again(world, proxy, writing):
    """F2: 409 on the status patch, three times: the status is right in the end, with at most one line in the log."""
    refused = proxy.add(Rule(writing("/mcpservers/contested/status"), Answer(409), count=3))

    world.create(world.server("contested"))

    refused.wait(fired=3)
    world.until_programmed("contested")
    said = [line for line in world.operator.lines() if line.get("level") in ("WARNING", "ERROR")]
    assert len([line for line in said if "contested" in str(line)]) <= 1


def test_a_right_that_was_taken_away_costs_only_its_namespace(world, neighbour):
    """F5: 403 on one verb in one namespace: Forbidden there, naming it; the other is served; and back again."""
    other = type(world)(world.plane, neighbour, world.operator)
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}/roles/kaos-operator"
    _, role = world.plane.request("GET", path)
    less = [rule for rule in role["rules"] if "services" not in rule["resources"]]
    read = {"apiGroups": [""], "resources": ["services", "configmaps"], "verbs": ["get", "list", "watch"]}
    world.plane.request("PATCH", path, {"rules": [*less, read]}, content_type="application/merge-patch+json")
    world.until(lambda: not may(world, "patch", "services"))

    world.create(world.server("barred"))
    said = world.until_condition("MCPServer", "barred", "Programmed", "False", "Forbidden")
    other.create(other.server("free"))
    other.until_programmed("free")

    assert "patch" in said["message"]
    assert "services" in said["message"]
    world.plane.request("PATCH", path, {"rules": role["rules"]}, content_type="application/merge-patch+json")
    world.until_programmed("barred")


def may(world, verb, resource):
    """Whether the operator has a right in the namespace of this world."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{world.namespace}:kaos-operator",
            "resourceAttributes": {"namespace": world.namespace, "verb": verb, "resource": resource},
        },
    }
    return world.plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)[1]["status"][
        "allowed"
    ]


def test_too_many_writes_wait_as_long_as_the_server_asks(world, proxy, writing):
    """F6: 429 with Retry-After on a write: nothing of ours is sent meanwhile, and then exactly once more."""
    busy = Answer(429, headers={"Retry-After": "2"})
    refused = proxy.add(Rule(writing("/deployments/mcpserver-throttled"), busy, count=1))
    world.create(world.server("throttled"))
    refused.wait()
    world.until_programmed("throttled")

    sent = proxy.writes(match=writing("/deployments/mcpserver-throttled"))
    assert [request.status for request in sent] == [429, 201]
    between = [r for r in proxy.requests(sent[0].ended) if not r.is_watch and r.time < sent[0].ended + 1.9]
    assert between == []


@pytest.mark.parametrize("asked", ["watch", "list"])
def test_too_many_reads_wait_as_long_as_the_server_asks(world, proxy, asked):
    """F6: 429 with Retry-After on a watch or a list: asked again after that time, and what happened is seen."""
    path = f"/namespaces/{world.namespace}/mcpservers\\?"
    reads = Match("GET", path, watch=asked == "watch")
    refused = proxy.add(Rule(reads, Answer(429, headers={"Retry-After": "2"}), count=1))
    ending = CloseWatch() if asked == "watch" else Inject(error_event(410), close=True)
    proxy.add(Rule(Match(watch=True, path=path), ending, count=1))
    refused.wait()
    world.create(world.server(f"after-{asked}"))

    world.until_programmed(f"after-{asked}")

    first = next(r for r in proxy.requests(match=reads) if r.status == 429)
    later = [r for r in proxy.requests(first.ended, reads) if "as=PartialObject" not in r.headers.get("accept", "")]
    assert later
    assert min(r.time for r in later) >= first.ended + 1.9


def test_a_token_that_expired_is_replaced_by_the_new_one(world, proxy, control_plane, home, login):
    """F20: 401 from now on for the old token, also on watches: the new one is read, each request is sent once more."""
    old = next(r.headers["authorization"] for r in proxy.requests() if r.is_watch)
    proxy.write_kubeconfig(control_plane.kubeconfig_for("kaos-operator", home), login)
    expired = proxy.add(Rule(Match(where=lambda r: r.headers.get("authorization") == old), Answer(401)))
    torn = proxy.add(Rule(Match(watch=True), CloseWatch()))
    expired.wait()
    torn.remove()

    world.create(world.server("renewed"))
    world.until_programmed("renewed")

    sent = [r.status for r in proxy.writes(match=Match(path="/deployments/mcpserver-renewed"))]
    assert sent in ([201], [401, 201])
    since = time.monotonic()
    world.edit("MCPServer", "renewed", replicas=2)
    world.until_programmed("renewed")
    assert [r for r in proxy.requests(since) if r.status == 401] == []


def test_a_slow_server_is_asked_for_many_things_at_once(world, proxy, writing):
    """F22: every request takes long: resources do not wait for each other, and nothing is made twice."""
    names = [f"slow-{number}" for number in range(8)]
    since = time.monotonic()
    proxy.add(Rule(writing("/mcpserver-slow-|/slow-"), Delay(1)))
    for name in names:
        world.create(world.server(name))
    for name in names:
        world.until_programmed(name)

    assert proxy.in_flight_max(since, writing("/mcpserver-slow-|/slow-")) >= 4
    assert {name: len(proxy.writes(match=writing(f"[/-]{name}(/|\\?)"))) for name in names} == dict.fromkeys(names, 3)


def test_an_answer_that_comes_too_late_makes_nothing_twice(world, proxy, writing):
    """F22: the server has done it when the request times out: found to be done, not done again."""
    match = writing("/deployments/mcpserver-late")
    late = proxy.add(Rule(match, Delay(30), when="after", count=1))
    world.create(world.server("late"))
    late.wait()
    made = world.until(lambda: world.get("Deployment", "mcpserver-late"))

    world.until_programmed("late")

    now = world.get("Deployment", "mcpserver-late")
    assert now["metadata"]["uid"] == made["metadata"]["uid"]
    assert now["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert [r.status for r in proxy.writes(match=match)][1:] in ([409], [])
