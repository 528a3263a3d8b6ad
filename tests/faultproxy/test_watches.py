"""What can be done to the lines of a watch, in streams that run and in those that begin."""

from __future__ import annotations

import http.client
import json

import pytest

from faultproxy import (
    BOOKMARK_WITHOUT_METADATA,
    MALFORMED,
    UNKNOWN_TYPE,
    Answer,
    CloseWatch,
    DuplicateLines,
    HoldLines,
    Inject,
    LoseLines,
    Match,
    Rule,
    Truncate,
    error_event,
)

WATCHES = Match(watch=True)
A, B, C = (b'{"type":"%s"}\n' % name for name in (b"ADDED", b"MODIFIED", b"DELETED"))


@pytest.mark.parametrize("line", [MALFORMED, UNKNOWN_TYPE, BOOKMARK_WITHOUT_METADATA, error_event(500)])
def test_a_line_is_injected_into_a_stream_that_runs_and_into_new_ones(server, proxy, client, connect, line):
    running = client.watch()
    server.emit(A)
    assert running.readline() == A
    handle = proxy.add(Rule(WATCHES, Inject(line)))
    assert running.readline() == line
    assert connect().watch().readline() == line
    server.emit(B)
    assert running.readline() == B
    assert handle.fired == 2


def test_a_line_is_injected_after_so_many_and_may_end_the_stream(server, proxy, client):
    proxy.add(Rule(WATCHES, Inject(error_event(410), after=2, close=True), count=1))
    watch = client.watch()
    server.emit(A, B, C)
    assert watch.read() == A + B + error_event(410)
    assert json.loads(error_event(410))["object"]["reason"] == "Expired"
    server.wait(lambda: server.watching == 0)
    again = client.watch()
    server.emit(C)
    assert again.readline() == C


def test_lines_are_sent_again_as_often_as_asked(server, proxy, client):
    proxy.add(Rule(WATCHES, DuplicateLines(1000, pattern="MODIFIED")))
    watch = client.watch()
    server.emit(A, B, C)
    server.end_watches()
    assert watch.read() == A + B * 1001 + C


def test_lost_lines_never_come(server, proxy, client):
    rule = proxy.add(Rule(WATCHES, LoseLines("MODIFIED")))
    watch = client.watch()
    server.emit(A, B, C)
    assert watch.readline() + watch.readline() == A + C
    rule.remove()
    server.emit(B)
    assert watch.readline() == B


@pytest.mark.parametrize(("release", "expected"), [("in order", A + B + C), ("reversed", C + B + A)])
def test_held_lines_come_when_the_rule_is_removed(server, proxy, client, release, expected):
    watch = client.watch()
    rule = proxy.add(Rule(WATCHES, HoldLines("ADDED|MODIFIED|DELETED", release=release)))
    passing = b'{"type":"BOOKMARK"}\n'
    server.emit(A, B, C, passing)
    assert watch.readline() == passing
    rule.remove()
    assert b"".join(watch.readline() for _ in range(3)) == expected
    server.emit(A)
    assert watch.readline() == A


def test_a_window_of_lines_is_shuffled_the_same_way_for_the_same_seed(server, proxy, client, connect):
    lines = [b'{"number":%d}\n' % number for number in range(20)]
    proxy.add(Rule(WATCHES, HoldLines(window=10, release="shuffled", seed=1)))
    watches = [client.watch(), connect().watch()]
    server.emit(*lines)
    first, second = ([watch.readline() for _ in lines] for watch in watches)
    assert first == second != lines
    assert sorted(first[:10]) == lines[:10]


def test_filters_stand_in_the_order_of_their_rules(server, proxy, client):
    held = proxy.add(Rule(WATCHES, HoldLines("ADDED")))
    proxy.add(Rule(WATCHES, DuplicateLines()))
    watch = client.watch()
    server.emit(A, B)
    assert watch.readline() + watch.readline() == B + B
    held.remove()
    assert watch.readline() + watch.readline() == A + A


@pytest.mark.parametrize("abort", [False, True])
def test_each_watch_is_closed_after_its_time(server, proxy, client, abort):
    handle = proxy.add(Rule(WATCHES, CloseWatch(0.05, abort)))
    for _ in range(3):
        watch = client.watch()
        server.emit(A)
        assert watch.readline() == A
        if abort:
            with pytest.raises(http.client.IncompleteRead):
                watch.read()
            client.close()
        else:
            assert watch.read() == b""
    assert handle.fired == 3
    server.wait(lambda: server.watching == 0)


def test_a_running_watch_is_closed_when_the_rule_comes_and_not_after_it_went(server, proxy, client):
    watch = client.watch()
    proxy.add(Rule(WATCHES, CloseWatch(60))).remove()
    server.emit(A)
    assert watch.readline() == A
    proxy.add(Rule(WATCHES, CloseWatch()))
    assert watch.read() == b""


@pytest.mark.parametrize("tidy", [False, True])
def test_a_watch_is_cut_within_its_next_line(server, proxy, client, tidy):
    watch = client.watch()
    server.emit(A)
    assert watch.readline() == A
    proxy.add(Rule(WATCHES, Truncate(tidy=tidy), count=1))
    server.emit(B)
    if tidy:
        assert watch.read() == B[: len(B) // 2]
    else:
        with pytest.raises(http.client.IncompleteRead) as error:
            watch.read()
        assert error.value.partial == B[: len(B) // 2]


def test_a_watch_that_is_refused_at_its_beginning_has_no_lines(server, proxy, client):
    proxy.add(Rule(WATCHES, Answer(410), count=1))
    proxy.add(Rule(WATCHES, Inject(MALFORMED)))
    response = client.watch()
    assert (response.status, json.loads(response.read())["reason"]) == (410, "Expired")
    assert client.watch().readline() == MALFORMED
    assert len(server.seen) == 1
