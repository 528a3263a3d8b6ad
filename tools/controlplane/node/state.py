"""What a container of this node is doing, in kubelet's words: plain facts between `container` and `pods`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


def now() -> str:
    """As Kubernetes writes a time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Ended:
    """One run that is over. `exit_code` is as a shell tells it: 128 and the signal when one ended it."""

    exit_code: int
    reason: str
    message: str
    started: str
    finished: str


@dataclass(frozen=True)
class State:
    """The main container.

    Attributes:
        waiting: the reason why it does not run; empty when it runs or has just ended.
        message: kubelet's sentence for it; `{pod}` stands for `name_namespace(uid)`.
        running: since when; empty when it does not run.
        ended: the run that has just ended, while neither of both counts.
        last: the run before.
        restarts: how often it was started again.
        ready: what the readiness probe says.
    """

    waiting: str = "ContainerCreating"
    message: str = ""
    running: str = ""
    ended: Ended | None = None
    last: Ended | None = None
    restarts: int = 0
    ready: bool = False
