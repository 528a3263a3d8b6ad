"""Each thing that can be done to a request, seen from the client and from the server."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading

import aiohttp
import pytest

from faultproxy import (
    Answer,
    Call,
    Delay,
    Drop,
    Match,
    Outage,
    Record,
    Replay,
    Rule,
    Tape,
    Truncate,
    hosted,
)

WRITES = Match(write=True)


def test_dropped_before_it_never_reaches_the_server(server, proxy, client):
    proxy.add(Rule(WRITES, Drop(), count=1))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.ask("POST", "/x", b"{}")
    assert server.seen == []
    (request,) = proxy.requests()
    assert (request.status, request.server_status, request.faults) == (None, None, ["Drop"])


def test_dropped_after_the_server_has_done_it(server, proxy, client):
    proxy.add(Rule(WRITES, Drop(), when="after", count=1))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.ask("POST", "/x", b"{}")
    assert server.bodies == [b"{}"]
    (request,) = proxy.requests()
    assert (request.status, request.server_status) == (None, 201)


@pytest.mark.parametrize(("reset", "seen"), [(False, aiohttp.ServerDisconnectedError), (True, ConnectionResetError)])
def test_a_dropped_connection_ends_or_is_reset(proxy, reset, seen):
    proxy.add(Rule(WRITES, Drop(reset)))

    async def post() -> None:
        async with aiohttp.ClientSession(proxy.url) as session:
            await session.post("/x", data=b"{}", ssl=ssl.create_default_context(cadata=proxy.ca))

    # Not http.client: the ssl module makes the same end of stream of both.
    with pytest.raises(aiohttp.ClientConnectionError) as raised:
        asyncio.run(post())
    assert isinstance(raised.value, seen) or isinstance(raised.value.__cause__, seen)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_in_the_servers_place_keeps_the_connection(server, proxy, client, when):
    proxy.add(Rule(WRITES, Answer(409), when=when, count=1))
    client.connect()
    port = client.sock.getsockname()
    response = client.ask("POST", "/x", b"{}")
    status = json.loads(response.read())
    assert (response.status, status["kind"], status["reason"], status["code"]) == (409, "Status", "Conflict", 409)
    assert client.ask("POST", "/x", b"{}").status == 201
    assert client.sock.getsockname() == port
    assert len(server.bodies) == (1 if when == "before" else 2)
    first = proxy.requests()[0]
    assert (first.status, first.server_status) == (409, None if when == "before" else 201)


def test_an_answer_has_the_headers_and_the_body_that_were_asked_for(proxy, client):
    proxy.add(Rule(Match("GET"), Answer(429, headers={"Retry-After": "7"}), count=1))
    proxy.add(Rule(Match("GET"), Answer(200, "<html>login</html>", {"Content-Type": "text/html"}), count=1))
    proxy.add(Rule(Match("GET"), Answer(422, {"kind": "Status", "message": "no"})))
    refused, html, invalid = ((response, response.read()) for response in (client.ask() for _ in range(3)))
    assert (refused[0].status, refused[0].getheader("Retry-After")) == (429, "7")
    assert (html[0].status, html[0].getheader("Content-Type"), html[1]) == (200, "text/html", b"<html>login</html>")
    assert (invalid[0].status, json.loads(invalid[1])["message"]) == (422, "no")


def test_an_answer_to_a_head_request_has_no_body(proxy, client):
    proxy.add(Rule(Match("HEAD"), Answer(500)))
    response = client.ask("HEAD")
    assert (response.status, response.read()) == (500, b"")
    assert len(client.names()) == 50


def test_a_delayed_request_waits_for_the_time_or_for_the_removal_of_the_rule(server, proxy, client):
    proxy.add(Rule(Match("GET"), Delay(0.01), count=1))
    assert len(client.names()) == 50
    proxy.heal()
    held = proxy.add(Rule(Match("GET"), Delay()))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(len(client.names())))
    asking.start()
    held.wait()
    assert (len(server.seen), proxy.requests()[-1].ended, answers) == (1, None, [])
    held.remove()
    asking.join(10)
    assert answers == [50]


def test_a_delay_after_the_server_holds_only_the_answer(server, proxy, client):
    held = proxy.add(Rule(WRITES, Delay(), when="after"))
    asking = threading.Thread(target=lambda: client.ask("POST", "/x", b"{}").read())
    asking.start()
    held.wait()
    assert server.bodies == [b"{}"]
    proxy.heal()
    asking.join(10)


@pytest.mark.parametrize("target", ["/api/v1/things", "/api/v1/things?chunked"])
def test_a_cut_body_is_seen_as_cut(proxy, client, target):
    proxy.add(Rule(Match("GET"), Truncate(), count=1))
    response = client.ask(target=target)
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as error:
        response.read()
    assert 0 < len(error.value.partial) < 2000
    client.close()
    assert len(client.names(target)) == 50


def test_a_tidily_cut_body_is_complete_for_http_and_broken_json(proxy, client):
    proxy.add(Rule(Match("GET"), Truncate(0.3, tidy=True), count=1))
    body = client.ask(target="/api/v1/things?chunked").read()
    assert body.startswith(b'{"kind": "ThingList"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert len(client.names()) == 50


def test_a_stale_list_is_served_from_the_tape_and_what_is_not_on_it_from_the_server(server, proxy, client):
    tape = Tape()
    lists = Match("GET", watch=False)
    recording = proxy.add(Rule(lists, Record(tape)))
    client.names("/api/v1/things?chunked&limit=500")
    recording.remove()
    server.items = [{"metadata": {"name": "new"}}]
    proxy.add(Rule(lists, Replay(tape)))
    assert len(client.names("/api/v1/things?chunked&limit=7&resourceVersion=0")) == len(tape) * 50 == 50
    assert client.names("/api/v1/things?chunked&labelSelector=a") == ["new"]
    assert [request.faults for request in proxy.requests()] == [["Record"], ["Replay"], []]
    proxy.heal()
    assert client.names("/api/v1/things?chunked") == ["new"]


def test_in_an_outage_nobody_listens_and_all_connections_end(server, proxy, client, connect):
    watch = client.watch()
    idle = connect()
    idle.names()
    outage = proxy.add(Rule(Match(), Outage()))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        watch.read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    server.wait(lambda: server.watching == 0)
    outage.remove()
    assert len(connect().names()) == 50


CLIENT = """
import http.client, ssl, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
context = ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection(url.hostname, url.port, context=context)
for number in range(1, 6):
    connection.request("POST", f"/x/{number}", b"{}")
    connection.getresponse().read()
"""


@pytest.mark.parametrize("nth", [1, 3, 5])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_can_be_killed_at_every_write(server, proxy, tmp_path, when, nth):
    (tmp_path / "ca.pem").write_text(proxy.ca)
    writer = subprocess.Popen([sys.executable, "-c", CLIENT, proxy.url, str(tmp_path / "ca.pem")])

    def kill(request) -> None:
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)

    handle = proxy.add(Rule(WRITES, Call(kill), Drop(), when=when, nth=nth, count=1))
    assert writer.wait(20) == -signal.SIGKILL
    handle.wait()
    reached = nth - 1 if when == "before" else nth
    assert [request.path for request in server.seen] == [f"/x/{number}" for number in range(1, reached + 1)]
    assert len(proxy.writes()) == nth


def test_a_callback_may_be_a_coroutine_and_may_use_the_proxy(proxy, client):
    async def callback(request) -> None:
        proxy.heal()

    proxy.add(Rule(Match("GET"), Call(callback)))
    proxy.add(Rule(Match("GET"), Answer(500)))
    assert len(client.names()) == 50
    assert proxy.requests()[0].faults == ["Call"]


def test_what_a_callback_raises_is_raised_when_the_proxy_closes(server, connect):
    def fail(request) -> None:
        raise ValueError("the test is wrong")

    def provoke() -> None:
        with hosted(server.url, server.ca) as proxy:
            proxy.add(Rule(Match(), Call(fail)))
            with pytest.raises(http.client.RemoteDisconnected):
                connect(proxy=proxy).ask()

    with pytest.raises(ExceptionGroup) as raised:
        provoke()
    assert str(raised.value.exceptions[0]) == "the test is wrong"


def test_a_proxy_that_closes_leaves_no_thread_and_no_socket(server, client, proxy):
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    for fault in (Delay(), Drop(), Outage()):
        with hosted(server.url, server.ca) as other:
            other.add(Rule(Match(), fault))
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
