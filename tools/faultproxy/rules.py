"""Which requests a rule is about, how often it fires, and the handle of one that is in force."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from faultproxy.actions import Answer, Call, Delay, Drop, HalfOpen, Outage, Record, Replay
from faultproxy.lines import OfLines
from faultproxy.recording import Recording, Request

Action = Delay | Drop | Answer | HalfOpen | Outage | Call | Record | Replay | OfLines


@dataclass(frozen=True)
class Match:
    """A request, by all that is given; nothing given matches everything.

    Attributes:
        methods: one method or several.
        path: a regular expression, searched in path and query (`Request.target`, percent signs decoded).
        watch: whether it is a watch.
        write: whether it changes something (`Request.is_write`); bookkeeping (the Lease) included.
        user_agent: a regular expression, searched in that header.
        where: anything else.
    """

    methods: str | Collection[str] | None = None
    path: str = ""
    watch: bool | None = None
    write: bool | None = None
    user_agent: str = ""
    where: Callable[[Request], bool] | None = None

    def __call__(self, request: Request) -> bool:
        """Whether the request is meant."""
        methods = {self.methods} if isinstance(self.methods, str) else self.methods
        return (
            (methods is None or request.method in methods)
            and self.watch in {None, request.is_watch}
            and self.write in {None, request.is_write}
            and re.search(self.path, request.target) is not None
            and re.search(self.user_agent, request.user_agent) is not None
            and (self.where is None or self.where(request))
        )


class Rule:
    """Actions, done in their order to the requests that match.

    Rules are asked in the order in which they were added. One that ends a request (Drop, Answer, HalfOpen) leaves
    later rules unasked.

    Attributes:
        when: "before" the request is forwarded, or "after" the server's answer has begun and before the client is
            told; what concerns responses and the lines of watches is "after" by nature, all else "before".
        nth: the first match that fires, from 1.
        count: how many fire from there on; None: all.
        probability: with which each of those fires, drawn with `seed`.
    """

    def __init__(
        self,
        match: Match,
        *actions: Action,
        when: Literal["before", "after"] | None = None,
        nth: int = 1,
        count: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not actions:
            raise ValueError("a rule needs an action")
        after = any(isinstance(action, Record | OfLines) for action in actions)
        if after and when == "before":
            raise ValueError(f"{actions} concern the response: there is none before the server is asked")
        if not after and when == "after" and any(isinstance(action, Replay) for action in actions):
            raise ValueError("Replay answers in the server's place: it is done before")
        self.match = match
        self.actions = actions
        self.when = when or ("after" if after else "before")
        self.nth = nth
        self.count = count
        self.probability = probability
        self.seed = seed

    @property
    def meets_running(self) -> bool:
        """Whether requests that are under way when the rule comes are concerned too."""
        return all(isinstance(action, HalfOpen | OfLines) for action in self.actions)


class Handle:
    """A rule in force.

    Attributes:
        matched: how many requests matched.
        fired: how many of them it was done to.
        removed: set, on the proxy's loop, when the rule is no longer in force.
    """

    def __init__(self, rule: Rule, recording: Recording, remove: Callable[[Handle], None]) -> None:
        self.rule = rule
        self.matched = 0
        self.fired = 0
        self.removed = asyncio.Event()
        self._recording = recording
        self._remove = remove
        self._random = random.Random(rule.seed)  # noqa: S311 no secret: repeatable

    def claims(self, request: Request) -> bool:
        """Whether to do it to this request; counts. On the proxy's loop only."""
        rule = self.rule
        if self.removed.is_set() or not rule.match(request):
            return False
        self.matched += 1
        if self.matched < rule.nth or (rule.count is not None and self.fired >= rule.count):
            return False
        if rule.probability < 1 and self._random.random() >= rule.probability:
            return False
        self.fired += 1
        self._recording.changed()
        return True

    def remove(self) -> None:
        """Take the rule back; what waits for that goes on. From any thread; again does nothing."""
        self._remove(self)

    def wait(self, fired: int = 1, timeout: float = 10) -> None:
        """Block until it has fired that often. Raises TimeoutError after `timeout` seconds."""
        self._recording.wait(lambda: self.fired >= fired, timeout, f"the rule fired {self.fired} of {fired} times")
