"""Each hostile peer does its harm on a real socket, and counts what was asked of it."""

from __future__ import annotations

import http.client
import json
import socket
import time

import pytest

from faultproxy.hostile import (
    HostilePeers,
    answers,
    dripping,
    endless,
    endless_head,
    hangs_up,
    invalid_utf8,
    long_line,
    no_http,
    redirects,
    silent,
    truncated,
    unauthorized,
)

PROBE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}).encode()


@pytest.fixture
def peers():
    with HostilePeers() as running:
        yield running


class Poster:
    """A connection of its own for each request."""

    def __init__(self):
        self.made = []

    def __call__(self, peer, timeout=10):
        self.made.append(http.client.HTTPConnection("127.0.0.1", peer.port, timeout=timeout))
        self.made[-1].request("POST", "/mcp", PROBE, {"Content-Type": "application/json"})
        return self.made[-1].getresponse()

    def close(self):
        for connection in self.made:
            connection.close()


@pytest.fixture
def post():
    poster = Poster()
    yield poster
    poster.close()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_many_silent_peers_accept_and_never_answer(peers, post):
    opened = peers.open(silent(), count=10)
    assert len({peer.port for peer in opened}) == 10
    for peer in opened[:2]:
        with pytest.raises(TimeoutError):
            post(peer, timeout=0.1)
    assert [len(peer.connections) for peer in opened] == [1, 1] + [0] * 8
    assert opened[0].requests == []
    assert opened[0].url == f"http://127.0.0.1:{opened[0].port}/mcp"


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
def test_an_endless_peer_sends_for_ever_and_stops_when_the_client_leaves(peers, post, content_type):
    (peer,) = peers.open(endless(content_type))
    response = post(peer)
    assert response.getheader("Content-Type") == content_type
    assert len(response.read(5_000_000)) == 5_000_000 <= peer.sent
    assert peer.requests[0].rpc_method == "server/discover"
    assert peer.connected == 1
    response.close()
    post.close()
    until(lambda: peer.connected == 0)


def test_a_dripping_peer_never_lets_a_read_time_out(peers, post):
    (peer,) = peers.open(dripping(seconds=0.01))
    response = post(peer, timeout=2)
    assert [response.readline() for _ in range(20)] == [b":\n"] * 20


def test_an_endless_head_never_becomes_a_response(peers, post):
    (peer,) = peers.open(endless_head())
    with pytest.raises(http.client.HTTPException):
        post(peer)


def test_a_redirect_names_its_target_which_counts_who_follows(peers, post):
    (target,) = peers.open(answers(200, b"{}"))
    (peer,) = peers.open(redirects(target.url))
    response = post(peer)
    assert (response.status, response.getheader("Location")) == (307, target.url)
    assert (len(peer.requests), target.requests, target.connections) == (1, [], [])


def test_an_unauthorized_peer_challenges_and_records_what_was_sent(peers, post):
    (peer,) = peers.open(unauthorized())
    response = post(peer)
    assert (response.status, response.getheader("WWW-Authenticate")) == (401, "Bearer")
    assert "authorization" not in peer.requests[0].headers


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
def test_a_long_line_is_one_line_of_json(peers, post, content_type):
    (peer,) = peers.open(long_line(10_000_000, content_type))
    (line,) = (line for line in post(peer).read().splitlines() if b"jsonrpc" in line)
    assert json.loads(line.removeprefix(b"data: "))["id"] == 1
    assert len(line) >= 10_000_000


def test_broken_answers_are_broken(peers, post):
    with pytest.raises(UnicodeDecodeError):
        post(peers.open(invalid_utf8())[0]).read().decode()
    with pytest.raises(http.client.IncompleteRead):
        post(peers.open(truncated())[0]).read()
    with pytest.raises(http.client.RemoteDisconnected):
        post(peers.open(hangs_up())[0])
    with pytest.raises(http.client.BadStatusLine):
        post(peers.open(no_http())[0])


def test_clients_that_are_still_there_do_not_keep_the_peers_from_closing():
    with HostilePeers() as peers:
        sockets = [socket.create_connection(("127.0.0.1", peer.port)) for peer in peers.open(endless(), count=3)]
        for sock in sockets:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            sock.recv(1)
    for sock in sockets:
        sock.close()
