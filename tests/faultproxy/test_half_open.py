"""Connections that stay and carry nothing."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from faultproxy import HalfOpen, Match, Rule

LINE = b'{"type":"ADDED"}\n'
SHORT = 0.2
"""Seconds for which a client waits in vain: long enough for loopback, and only silence can fail to come sooner."""


def test_running_watches_fall_silent_and_stay_so_after_healing_while_new_ones_work(server, proxy, connect):
    client = connect(SHORT)
    watch = client.watch()
    server.emit(LINE)
    assert watch.readline() == LINE
    handle = proxy.add(Rule(Match(watch=True), HalfOpen(new=False)))
    assert handle.fired == 1
    server.emit(LINE)
    with pytest.raises(TimeoutError):
        watch.readline()
    other = connect()
    second = other.watch()
    server.emit(LINE)
    assert second.readline() == LINE
    proxy.heal()
    server.emit(LINE)
    assert second.readline() == LINE
    with pytest.raises(TimeoutError):
        client.sock.recv(1)
    assert proxy.requests()[0].ended is None


def test_what_was_held_flows_on_when_the_line_revives(server, proxy, client):
    watch = client.watch()
    handle = proxy.add(Rule(Match(watch=True), HalfOpen(revive=True)))
    server.emit(LINE, LINE)
    handle.remove()
    assert watch.readline() + watch.readline() == LINE + LINE


def test_new_requests_are_taken_and_never_answered(server, proxy, connect):
    client = connect(SHORT)
    client.names()
    proxy.add(Rule(Match("GET"), HalfOpen()))
    with pytest.raises(TimeoutError):
        client.ask()
    assert connect().ask("POST", "/x", b"{}").status == 201
    assert [request.method for request in server.seen] == ["GET", "POST"]


def test_everything_half_open_accepts_new_connections_without_a_word(server, proxy, connect):
    kept = connect(SHORT)
    kept.names()
    proxy.add(Rule(Match(), HalfOpen()))
    with pytest.raises(TimeoutError):
        kept.ask()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=SHORT) as sock:
        context = ssl.create_default_context(cadata=proxy.ca)
        with pytest.raises(TimeoutError):
            context.wrap_socket(sock, server_hostname="127.0.0.1")
    proxy.heal()
    assert len(connect().names()) == 50
    assert len(server.seen) == 2


def test_a_connection_that_came_meanwhile_is_served_when_the_line_revives(proxy, connect):
    handle = proxy.add(Rule(Match(), HalfOpen(revive=True)))
    names = []
    client = connect()
    asking = threading.Thread(target=lambda: names.append(len(client.names())))
    asking.start()
    handle.remove()
    asking.join(10)
    assert names == [50]


def test_a_client_that_gives_up_on_a_dead_connection_is_forgotten(server, proxy, connect):
    client = connect()
    watch = client.watch()
    proxy.add(Rule(Match(), HalfOpen()))
    watch.close()
    client.close()
    server.wait(lambda: server.watching == 0)
    proxy.wait(lambda: proxy.requests()[0].ended)
