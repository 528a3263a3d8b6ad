"""Without rules the proxy changes nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from faultproxy import FaultProxy
from faultproxy.tls import Authority


def test_requests_and_answers_pass_unchanged(server, client):
    response = client.ask("PATCH", "/api/v1/a%20b?x=1", b"body", Authorization="Bearer abc", User_Agent="op/1")
    assert (response.status, response.getheader("X-Server"), response.read()) == (201, "small", b'{"number": 1}')
    (seen,) = server.seen
    assert (seen.method, seen.raw_path, server.bodies) == ("PATCH", "/api/v1/a%20b?x=1", [b"body"])
    assert (seen.headers["Authorization"], seen.headers["User-Agent"]) == ("Bearer abc", "op/1")


def test_one_connection_serves_many_requests_on_both_sides(server, client):
    for _ in range(5):
        assert client.ask("POST", "/x", b"{}").read()
        assert len(client.names()) == 50
        assert len(client.names("/api/v1/things?chunked")) == 50
        assert client.ask("HEAD", "/x").read() == b""
    assert len(server.connections) == 1


def test_large_bodies_pass_whole_with_a_length_and_in_chunks(server, client):
    body = os.urandom(3_000_000)
    server.items = [{"metadata": {"name": "n" * 3_000_000}}]
    client.ask("POST", "/x", body).read()
    client.request("POST", "/x", iter([body[:1000], body[1000:]]), encode_chunked=True)
    client.getresponse().read()
    assert server.bodies == [body, body]
    assert client.names() == client.names("/api/v1/things?chunked") == ["n" * 3_000_000]


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(server, proxy):
    context = ssl.create_default_context(cadata=proxy.ca)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", proxy.port)), server_hostname="127.0.0.1") as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert b"100 Continue" in sock.recv(1000)
        sock.sendall(b"body")
        assert b"201 Created" in sock.recv(1000)
    assert server.bodies == [b"body"]


def test_watch_lines_pass_one_by_one_and_the_connection_serves_on(server, client):
    watch = client.watch()
    for line in (b'{"type":"ADDED"}\n', b'{"type":"DELETED"}\n', b"x" * 200_000 + b"\n"):
        server.emit(line)
        assert watch.readline() == line
    server.end_watches()
    assert watch.read() == b""
    assert len(client.names()) == 50
    assert len(server.connections) == 1


def test_a_client_that_leaves_ends_its_watch_at_the_server(server, proxy, client):
    watch = client.watch()
    assert server.watching == 1
    watch.close()
    client.close()
    server.wait(lambda: server.watching == 0)
    proxy.wait(lambda: proxy.requests()[0].ended)


def test_a_server_that_is_not_there_costs_the_client_its_connection(server, proxy, client):
    proxy.upstream_url = "https://127.0.0.1:1"
    with pytest.raises(ConnectionError):
        client.ask()
    assert "server not reached" in proxy.requests()[0].faults[0]
    proxy.upstream_url = server.url
    client.close()
    assert len(client.names()) == 50


def test_a_server_that_is_not_the_one_expected_is_not_used(server, client, proxy):
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context(cadata=Authority().ca).wrap_socket(
            socket.create_connection(("127.0.0.1", proxy.port)), server_hostname="127.0.0.1"
        )
    assert len(client.names()) == 50


def test_many_connections_at_once_are_served(server, proxy, connect):
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda _: len(connect().names()), range(64))) == [50] * 64
    assert len(proxy.requests()) == 64
    assert 1 <= proxy.in_flight_max() <= 16


def test_it_runs_in_a_loop_of_the_tests_own(server):
    async def through() -> tuple[int, int]:
        async with FaultProxy(server.url, server.ca) as proxy:
            context = ssl.create_default_context(cadata=proxy.ca)
            async with (
                aiohttp.ClientSession() as session,
                session.get(proxy.url + "/api/v1/things", ssl=context) as got,
            ):
                assert len((await got.json())["items"]) == 50
            with pytest.raises(RuntimeError, match="blocks"):
                proxy.wait(lambda: True)
            await asyncio.to_thread(proxy.wait, lambda: proxy.requests()[0].ended)
            return len(proxy.requests()), len(proxy.writes())

    assert asyncio.run(through()) == (1, 0)
