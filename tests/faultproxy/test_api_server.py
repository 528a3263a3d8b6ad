"""The proxy before a real kube-apiserver, with kubectl and aiohttp (the operator's client) as its clients."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from faultproxy import (
    Answer,
    CloseWatch,
    Delay,
    Drop,
    FaultProxy,
    HalfOpen,
    HoldLines,
    Inject,
    LoseLines,
    Match,
    Outage,
    Record,
    Replay,
    Rule,
    Tape,
    Truncate,
    error_event,
)

MAPS = "/api/v1/namespaces/{}/configmaps"


def config_map(name: str, value: str = "x") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"t": "1"}},
            "data": {"k": value},
        }
    )


@pytest.fixture
def kubectl(control_plane, fault_proxy, namespace):
    """By way of the proxy, in the test's namespace."""

    def run(*arguments, **more):
        return control_plane.kubectl("-n", namespace, *arguments, **more, kubeconfig=fault_proxy.kubeconfig)

    return run


@pytest.fixture
def create(control_plane, namespace):
    """Past the proxy."""

    def make(name, value="x"):
        status, created = control_plane.request("POST", MAPS.format(namespace), json.loads(config_map(name, value)))
        assert status == 201
        return created["metadata"]["resourceVersion"]

    return make


class Watcher:
    """An aiohttp client in a thread: lists, then watches, again and again, as an operator does."""

    def __init__(self, proxy: FaultProxy, token: str, path: str) -> None:
        self.proxy, self.token, self.path = proxy, token, path
        self.seen: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.lists = 0
        self.stopping = False

    def names(self) -> list[str]:
        return [name for _, name in self.seen]

    async def run(self) -> None:
        context = ssl.create_default_context(cadata=self.proxy.ca)
        headers = {"Authorization": f"Bearer {self.token}"}
        sockets: list[socket.socket] = []

        def make(address) -> socket.socket:
            sockets.append(socket.socket(*address[:3]))
            sockets[-1].setblocking(False)
            return sockets[-1]

        connector = aiohttp.TCPConnector(ssl=context, socket_factory=make)
        async with aiohttp.ClientSession(self.proxy.url, headers=headers, connector=connector) as session:
            work = asyncio.create_task(self.follow(session))
            while not self.stopping:
                await asyncio.sleep(0.01)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        while any(sock.fileno() != -1 for sock in sockets):  # TLS's farewells would outlive the loop
            await asyncio.sleep(0.001)

    async def follow(self, session: aiohttp.ClientSession) -> None:
        version = ""
        while True:
            try:
                if not version:
                    async with session.get(self.path, params={"labelSelector": "t=1", "limit": "500"}) as response:
                        listed = json.loads(await response.text())
                    self.lists += 1
                    self.seen += [("LISTED", item["metadata"]["name"]) for item in listed["items"]]
                    version = listed["metadata"]["resourceVersion"]
                async with session.get(
                    self.path,
                    params={"watch": "true", "labelSelector": "t=1", "resourceVersion": version},
                    timeout=aiohttp.ClientTimeout(total=None, sock_read=0.5),
                ) as response:
                    async for line in response.content:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            self.faults.append(str(event["object"]["code"]))
                            version = ""
                            break
                        metadata = event["object"]["metadata"]
                        self.seen.append((event["type"], metadata["name"]))
                        version = metadata["resourceVersion"]
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                self.faults.append(type(error).__name__)


@pytest.fixture
def watcher(control_plane, fault_proxy, namespace) -> Iterator[Watcher]:
    with _watching(Watcher(fault_proxy, control_plane.token(), MAPS.format(namespace))) as running:
        yield running


@contextmanager
def _watching(watcher: Watcher) -> Iterator[Watcher]:
    thread = threading.Thread(target=lambda: asyncio.run(watcher.run()))
    thread.start()
    try:
        until(lambda: any(request.is_watch and request.status for request in watcher.proxy.requests()))
        yield watcher
    finally:
        watcher.stopping = True
        thread.join(10)


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.005)


def test_kubectl_applies_reads_and_deletes_through_it(kubectl, fault_proxy):
    applied = kubectl("apply", "--server-side", "-f", "-", input=config_map("a"))
    assert applied.returncode == 0, applied.stderr
    assert json.loads(kubectl("get", "configmap", "a", "-o", "json").stdout)["data"] == {"k": "x"}
    assert kubectl("delete", "configmap", "a").returncode == 0
    (patch, delete) = fault_proxy.writes()
    assert (patch.method, patch.status, patch.user_agent.startswith("kubectl/")) == ("PATCH", 201, True)
    assert "fieldManager=kubectl" in patch.query
    assert (delete.method, delete.status) == ("DELETE", 200)


def test_large_compressed_answers_pass_unchanged(control_plane, kubectl):
    direct = control_plane.kubectl("get", "--raw", "/openapi/v2").stdout
    assert len(direct) > 1_000_000
    assert kubectl("get", "--raw", "/openapi/v2").stdout == direct


def test_the_login_passes_and_another_one_has_its_own_rights(control_plane, fault_proxy, namespace, tmp_path):
    alice = fault_proxy.write_kubeconfig(control_plane.kubeconfig_for("alice"), tmp_path / "alice")
    refused = control_plane.kubectl("get", "configmaps", "-n", namespace, kubeconfig=alice)
    assert 'User "alice" cannot list' in refused.stderr
    assert fault_proxy.requests()[-1].server_status == 403


def test_a_lost_answer_leaves_the_object_at_the_server_and_a_lost_request_does_not(kubectl, fault_proxy, create):
    fault_proxy.add(Rule(Match("POST"), Drop(), nth=1, count=1))
    fault_proxy.add(Rule(Match("POST"), Drop(), when="after", nth=1, count=1))
    assert kubectl("create", "configmap", "before").returncode != 0
    assert kubectl("create", "configmap", "after").returncode != 0
    names = kubectl("get", "configmaps", "-o", "name").stdout
    assert "configmap/after" in names
    assert "configmap/before" not in names


def test_what_the_proxy_answers_is_understood_as_the_api_servers(kubectl, fault_proxy):
    said = {}
    for status in (409, 403, 401, 422):
        rule = fault_proxy.add(Rule(Match(path="/configmaps/a"), Answer(status, message="as told")))
        said[status] = kubectl("get", "configmap", "a").stderr
        rule.remove()
    assert said[409].startswith("Error from server (Conflict): as told")
    assert said[403].startswith("Error from server (Forbidden): as told")
    assert "as told" in said[422]
    assert "logged in" in said[401]
    throttled = fault_proxy.add(Rule(Match(write=True), Answer(429, headers={"Retry-After": "1"}), count=1))
    assert kubectl("create", "configmap", "a").returncode == 0
    assert throttled.matched == 2


@pytest.mark.parametrize("tidy", [False, True])
def test_a_cut_list_is_an_error_and_never_an_empty_list(kubectl, fault_proxy, create, tidy):
    create("a", "x" * 10_000)
    fault_proxy.add(Rule(Match(path=r"/configmaps\?"), Truncate(tidy=tidy)))
    assert kubectl("get", "configmaps", "-o", "json").returncode != 0


def test_a_stale_list_is_the_one_of_then(kubectl, fault_proxy, create):
    create("old")
    tape, lists = Tape(), Match("GET", path=r"/configmaps\?", watch=False)
    fault_proxy.add(Rule(lists, Record(tape)))
    then = kubectl("get", "configmaps").stdout
    fault_proxy.heal()
    create("new")
    fault_proxy.add(Rule(lists, Replay(tape)))
    assert kubectl("get", "configmaps").stdout.split()[:5] == then.split()[:5]
    assert "new" not in kubectl("get", "configmaps").stdout
    fault_proxy.heal()
    assert "new" in kubectl("get", "configmaps").stdout


def test_events_pass_at_once_and_lost_held_or_late_ones_as_told(watcher, fault_proxy, create):
    create("a")
    until(lambda: watcher.names() == ["a"])
    fault_proxy.add(Rule(Match(watch=True), LoseLines('"name":"lost"')))
    held = fault_proxy.add(Rule(Match(watch=True), HoldLines('"name":"late-', release="reversed")))
    for name in ("lost", "late-1", "late-2", "b"):
        create(name)
    until(lambda: watcher.names() == ["a", "b"])
    held.remove()
    until(lambda: watcher.names() == ["a", "b", "late-2", "late-1"])


def test_watches_closed_again_and_again_lose_nothing(watcher, fault_proxy, create):
    closing = fault_proxy.add(Rule(Match(watch=True), CloseWatch(0.03)))
    for number in range(10):
        create(f"m-{number}")
    closing.wait(fired=4)
    until(lambda: len(watcher.seen) >= 10)
    assert watcher.names() == [f"m-{number}" for number in range(10)]
    assert (watcher.lists, watcher.faults) == (1, [])


def test_an_error_410_in_the_stream_makes_the_client_list_again(watcher, fault_proxy, create):
    create("a")
    until(lambda: watcher.names() == ["a"])
    fault_proxy.add(Rule(Match(watch=True), Inject(error_event(410), close=True), count=1))
    until(lambda: watcher.lists == 2)
    assert watcher.faults == ["410"]
    assert watcher.seen == [("ADDED", "a"), ("LISTED", "a")]


def test_a_half_open_watch_is_silent_until_the_client_gives_up(watcher, fault_proxy, create):
    silent = fault_proxy.add(Rule(Match(watch=True), HalfOpen(new=False)))
    create("a")
    silent.wait()
    until(lambda: watcher.names() == ["a"])
    assert watcher.faults == ["SocketTimeoutError"]
    assert [request.faults for request in fault_proxy.requests(match=Match(watch=True))][:2] == [["HalfOpen"], []]


def test_an_outage_refuses_and_ends_and_the_same_url_works_after(watcher, fault_proxy, create):
    outage = fault_proxy.add(Rule(Match(), Outage()))
    create("meanwhile")
    until(lambda: "ClientConnectorError" in watcher.faults)
    assert watcher.seen == []
    outage.remove()
    until(lambda: watcher.names() == ["meanwhile"])


def test_a_held_write_is_done_when_it_is_released(kubectl, fault_proxy, control_plane, namespace):
    held = fault_proxy.add(Rule(Match("POST"), Delay()))
    writing = threading.Thread(target=lambda: kubectl("create", "configmap", "a"))
    writing.start()
    held.wait()
    assert control_plane.request("GET", f"{MAPS.format(namespace)}/a")[0] == 404
    held.remove()
    writing.join(20)
    assert control_plane.request("GET", f"{MAPS.format(namespace)}/a")[0] == 200
