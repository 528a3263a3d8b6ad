"""What a rule does to the lines of a watch: each action gives every stream a filter of its own."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from faultproxy.actions import Truncate, status_object

MALFORMED = b'{"type":"MODIFIED","object":{"metadata":\n'
UNKNOWN_TYPE = b'{"type":"SURPRISE","object":{"kind":"Thing","metadata":{"name":"x"}}}\n'
BOOKMARK_WITHOUT_METADATA = b'{"type":"BOOKMARK","object":{}}\n'


def error_event(code: int, message: str = "the fault proxy says so") -> bytes:
    """The line by which a watch says that it failed; 410 asks for a new list."""
    return json.dumps({"type": "ERROR", "object": status_object(code, message)}).encode() + b"\n"


@dataclass(frozen=True)
class End:
    """The stream ends here: as HTTP wants it, or with the connection."""

    abort: bool


Item = bytes | End


class LineFilter:
    """Stands in one stream. This one lets everything pass."""

    expires: float | None = None
    """Seconds after which `expired` is asked."""

    def begin(self) -> list[Item]:
        """What to send when the rule meets the stream."""
        return []

    def feed(self, line: bytes) -> list[Item]:
        """What to send for a line (with its newline)."""
        return [line]

    def expired(self) -> list[Item]:
        """What to send when its time is over."""
        return []

    def finish(self) -> list[Item]:
        """What to send when the rule is removed."""
        return []


class _Inject(LineFilter):
    def __init__(self, action: Inject) -> None:
        body = action.line
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self._items: list[Item] = [data if data.endswith(b"\n") else data + b"\n"]
        if action.close:
            self._items.append(End(abort=False))
        self._wait = action.after

    def begin(self) -> list[Item]:
        return [] if self._wait else self._items

    def feed(self, line: bytes) -> list[Item]:
        self._wait -= 1
        return [line, *self._items] if self._wait == 0 else [line]


@dataclass(frozen=True)
class Inject:
    """Send a line of ours, once in each stream: at once, or after that many lines of the server's.

    Attributes:
        line: bytes or text as they are, a newline added when it has none; a mapping as JSON.
        close: end the stream after it, as the server does after an ERROR.
    """

    line: bytes | str | Mapping[str, Any]
    after: int = 0
    close: bool = False


class _Duplicate(LineFilter):
    def __init__(self, action: DuplicateLines) -> None:
        self._action = action

    def feed(self, line: bytes) -> list[Item]:
        return [line] * (1 + self._action.times * _hit(self._action.pattern, line))


@dataclass(frozen=True)
class DuplicateLines:
    """Send each line that the pattern is found in that many times more."""

    times: int = 1
    pattern: str = ""


class _Lose(LineFilter):
    def __init__(self, action: LoseLines) -> None:
        self._action = action

    def feed(self, line: bytes) -> list[Item]:
        return [] if _hit(self._action.pattern, line) else [line]


@dataclass(frozen=True)
class LoseLines:
    """Never send the lines that the pattern is found in: events that nobody saw."""

    pattern: str = ""


class _Hold(LineFilter):
    def __init__(self, action: HoldLines) -> None:
        self._action = action
        self._held: list[Item] = []

    def feed(self, line: bytes) -> list[Item]:
        if not _hit(self._action.pattern, line):
            return [line]
        self._held.append(line)
        window = self._action.window
        return self.finish() if window is not None and len(self._held) >= window else []

    def finish(self) -> list[Item]:
        held, self._held = self._held, []
        if self._action.release == "reversed":
            held.reverse()
        elif self._action.release == "shuffled":
            random.Random(self._action.seed).shuffle(held)  # noqa: S311 no secret: the test chooses the order
        return held


@dataclass(frozen=True)
class HoldLines:
    """Hold back the lines that the pattern is found in, until the rule is removed or `window` of them are there.

    Then they are sent in the order of `release`; others pass at once. What a stream holds when it ends is lost.
    """

    pattern: str = ""
    window: int | None = None
    release: Literal["in order", "reversed", "shuffled"] = "in order"
    seed: int = 0


class _Close(LineFilter):
    def __init__(self, action: CloseWatch) -> None:
        self.expires = action.seconds
        self._end = End(action.abort)

    def expired(self) -> list[Item]:
        return [self._end]


@dataclass(frozen=True)
class CloseWatch:
    """End each stream that many seconds after it began (or after the rule came); `abort` cuts the connection."""

    seconds: float = 0
    abort: bool = False


class _Cut(LineFilter):
    def __init__(self, action: Truncate) -> None:
        self._action = action

    def feed(self, line: bytes) -> list[Item]:
        return [line[: max(1, int(len(line) * self._action.fraction))], End(abort=not self._action.tidy)]


OfLines = Inject | DuplicateLines | LoseLines | HoldLines | CloseWatch | Truncate
"""The actions that watches' lines know. `Truncate` is also for other responses."""


def line_filter(action: OfLines) -> LineFilter:
    """For one stream."""
    match action:
        case Inject():
            return _Inject(action)
        case DuplicateLines():
            return _Duplicate(action)
        case LoseLines():
            return _Lose(action)
        case HoldLines():
            return _Hold(action)
        case CloseWatch():
            return _Close(action)
        case Truncate():
            return _Cut(action)


def _hit(pattern: str, line: bytes) -> bool:
    return re.search(pattern.encode(), line) is not None
