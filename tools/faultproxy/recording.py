"""What came through the proxy: one `Request` each, for the count oracles of the fault tests."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from faultproxy.wire import Head

_WRITING = {"POST", "PUT", "PATCH", "DELETE"}
# These are questions, though they are POSTed.
_REVIEWS = re.compile(r"^/apis/(authorization|authentication)\.k8s\.io/")
BOOKKEEPING = re.compile(r"/leases(/|$)|/configmaps/kaos-operator-info(/|$)")
"""Paths whose writes the operator's counts leave out (design, "Children and counts")."""


@dataclass(eq=False)
class Request:
    """One request, and what became of it.

    Attributes:
        number: 1 for the first.
        time: when its head had arrived, as `time.monotonic()`.
        path: without the query.
        query: as sent.
        is_write: it would change something: reviews and dry runs do not count.
        status: what the client was told; None when it was told nothing.
        server_status: what the server answered; None when the request did not reach it, or it has not answered.
        sent: when the whole request had been passed on to the server.
        ended: when it was over.
        faults: the names of the actions done to it.
    """

    number: int
    time: float
    method: str
    path: str
    query: str
    user_agent: str
    is_watch: bool
    is_write: bool
    headers: Mapping[str, str] = field(repr=False)
    status: int | None = None
    server_status: int | None = None
    sent: float | None = None
    ended: float | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        """Path and query, percent signs decoded: what `Match.path` is searched in."""
        return unquote(f"{self.path}?{self.query}" if self.query else self.path)

    @property
    def is_bookkeeping(self) -> bool:
        """It concerns the leader's Lease or `kaos-operator-info`."""
        return BOOKKEEPING.search(self.path) is not None


class Recording:
    """All requests in the order of their arrival. Only the proxy's loop writes; any thread may read and wait."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._changed = threading.Condition()

    def begin(self, head: Head) -> Request:
        """A request whose head has arrived."""
        path, _, query = head.target.partition("?")
        asked = parse_qs(query)
        request = Request(
            number=len(self._requests) + 1,
            time=time.monotonic(),
            method=head.method,
            path=path,
            query=query,
            user_agent=head.header("user-agent"),
            is_watch=head.method == "GET" and asked.get("watch", ["false"])[-1] in {"true", "1"},
            is_write=head.method in _WRITING and not _REVIEWS.match(path) and "dryRun" not in asked,
            headers={name.lower(): value for name, value in head.headers},
        )
        self._requests.append(request)
        self.changed()
        return request

    def end(self, request: Request) -> None:
        """It is over."""
        request.ended = time.monotonic()
        self.changed()

    def changed(self) -> None:
        """Wake those who wait."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, condition: Callable[[], object], timeout: float, what: str) -> None:
        """Block until the condition holds; it is asked again whenever something happened in the proxy.

        Raises:
            TimeoutError: after `timeout` seconds, with the last requests in its message.
        """
        with self._changed:
            if self._changed.wait_for(lambda: bool(condition()), timeout):
                return
        last = "\n".join(f"  {request}" for request in self._requests[-10:]) or "  none"
        raise TimeoutError(f"{what}: not within {timeout} s; the last requests:\n{last}")

    def requests(self, since: float = 0) -> list[Request]:
        """Those that arrived at or after `since` (`time.monotonic()`)."""
        return [request for request in list(self._requests) if request.time >= since]


def peak(requests: Iterable[Request], *, watches: bool = False) -> int:
    """The most that were under way at one moment; watches are counted only when asked for."""
    steps = []
    for request in requests:
        if watches or not request.is_watch:
            steps.append((request.time, 1))
            if request.ended is not None:
                steps.append((request.ended, -1))
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most
