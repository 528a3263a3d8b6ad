"""What a rule does to a request: plain data, carried out by `faultproxy.exchange`. Lines of watches: `lines`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from faultproxy.recording import Request
from faultproxy.wire import Head, response_head

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Delay:
    """Wait that many seconds, or until the rule is removed, whichever is first; None waits for the removal."""

    seconds: float | None = None


@dataclass(frozen=True)
class Drop:
    """End the connection: before forwarding, or (`when="after"`) with the server's answer lost. `reset` by RST."""

    reset: bool = False


@dataclass(frozen=True)
class Answer:
    """Answer in the server's place; with `when="after"` although the server has done what was asked.

    Attributes:
        body: text or bytes as they are; a mapping as JSON; None as the Kubernetes Status of that code.
        headers: added; they may change Content-Type.
        message: of the Status.
    """

    status: int
    body: str | bytes | Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "the fault proxy says so"

    def rendered(self) -> tuple[Head, bytes]:
        """Its head, without a length, and its body."""
        body = self.body
        if body is None:
            body = status_object(self.status, self.message)
        if isinstance(body, Mapping):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "application/json", **self.headers}
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        return response_head(self.status, phrase, headers), data


@dataclass(frozen=True)
class Truncate:
    """End the response's body after that fraction of it; in a watch, within its next line.

    Attributes:
        tidy: the body ends as HTTP wants it (only the JSON is broken); else the connection is cut.
    """

    fraction: float = 0.5
    tidy: bool = False


@dataclass(frozen=True)
class HalfOpen:
    """No byte passes in either direction, and the connection stays: requests under way and new ones.

    With a `Match()` that matches everything, new connections are accepted by TCP and never answered, not even TLS.

    Attributes:
        new: False: only what is under way when the rule is added; new requests pass.
        revive: when the rule is removed, what was held flows on; else it stays dead for ever, as behind a
            firewall that has forgotten the connection.
    """

    new: bool = True
    revive: bool = False


@dataclass(frozen=True)
class Outage:
    """Nobody listens: all connections are cut and new ones refused, the port staying ours. Its match is ignored."""


@dataclass(frozen=True)
class Call:
    """Call back with the request, in a thread; what it returns is awaited when it can be.

    To kill the client, let a Drop follow: `Rule(Match(write=True), Call(kill), Drop(), nth=3, count=1)`.
    What it raises is raised again when the proxy closes, and the connection is dropped.
    """

    callback: Callable[[Request], object]


class Tape:
    """Recorded responses, for `Record` and `Replay`; the newest of each list is kept.

    A list is known by path and query without what a later list may ask differently: `resourceVersion`,
    `resourceVersionMatch`, `limit`, `timeoutSeconds`.
    """

    def __init__(self) -> None:
        self._taken: dict[object, tuple[Head, bytes]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def store(self, request: Request, head: Head, body: bytes) -> None:
        """Keep a response, whole and without its framing."""
        self._taken[_key(request)] = head, body

    def find(self, request: Request) -> tuple[Head, bytes] | None:
        """The response to serve, or None."""
        return self._taken.get(_key(request))


@dataclass(frozen=True)
class Record:
    """Keep whole successful responses on the tape while they pass."""

    tape: Tape


@dataclass(frozen=True)
class Replay:
    """Answer from the tape: a stale server. What is not on it goes to the real one."""

    tape: Tape


def status_object(code: int, message: str = "the fault proxy says so") -> dict[str, Any]:
    """A Kubernetes Status of that HTTP code."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "Unknown"),
        "code": code,
    }


def _key(request: Request) -> object:
    varying = {"resourceVersion", "resourceVersionMatch", "limit", "timeoutSeconds"}
    return request.path, tuple(sorted(item for item in parse_qsl(request.query) if item[0] not in varying))
