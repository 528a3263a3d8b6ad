"""Probing: the MCP handshakes, off the reconcile path. Bounded; one hung server delays no other.

`want` says which server should be asked; the answer wakes its resource, whose reconcile reads it with `answer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from kaos_core.manifests.names import SERVICE_PORT
from kaos_core.observed import Handshake
from kaos_operator.objects import Key

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What to ask: `epoch` names the rollout an answer is about, `pods` who might answer.

    `interval` is in seconds; None takes the operator's.
    """

    service: str
    namespace: str
    path: str
    protocol: str
    epoch: str
    pods: tuple[str, ...] = ()
    interval: float | None = None


@dataclass
class _Asked:
    question: Question
    answer: Handshake | None = None
    answered_epoch: str = ""
    refusals: int = 0
    doubted: bool = False
    task: asyncio.Task[None] | None = None


class Prober:
    """All handshakes of one operator. `answered` is called with the key when an answer differs from the last."""

    def __init__(
        self,
        url: str,
        *,
        interval: float,
        timeout: float,
        first: float,
        at_once: int,
        answered: Callable[[Key], None],
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._interval = interval
        self._timeout = timeout
        self._first = first
        self._turns = asyncio.Semaphore(at_once)
        self._answered = answered
        self._count = count
        self._asked: dict[Key, _Asked] = {}

    def want(self, key: Key, question: Question) -> None:
        """Have this server asked now if the question is new, and then again and again."""
        known = self._asked.get(key)
        if known is not None and known.question == question:
            return
        asked = known or _Asked(question)
        asked.question, asked.refusals = question, 0
        if asked.task:
            asked.task.cancel()
        asked.task = asyncio.create_task(self._ask(key, asked), name=f"handshake {key}")
        self._asked[key] = asked

    def answer(self, key: Key, epoch: str) -> Handshake | None:
        """The last answer about this rollout."""
        asked = self._asked.get(key)
        return asked.answer if asked and asked.answered_epoch == epoch else None

    def has_answered(self, key: Key) -> bool:
        """Whether this server has answered since the operator was started, about whatever rollout."""
        asked = self._asked.get(key)
        return asked is not None and asked.answer is not None

    def forget(self, key: Key) -> None:
        """Ask this server no more."""
        asked = self._asked.pop(key, None)
        if asked and asked.task:
            asked.task.cancel()

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = [asked.task for asked in self._asked.values() if asked.task]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: Key, asked: _Asked) -> None:
        while True:
            question = asked.question
            async with self._turns:
                answer = await self._handshake(question)
            self._count(answer.outcome)
            new = answer != asked.answer or asked.answered_epoch != question.epoch
            if new and self._doubts(asked, answer):
                await asyncio.sleep(self._first)
                continue
            asked.answer, asked.answered_epoch = answer, question.epoch
            if new:
                _log.debug("handshake", extra={"resource": str(key), "outcome": answer.outcome})
                self._answered(key)
            await asyncio.sleep(self._pause(asked, answer))

    async def _handshake(self, question: Question) -> Handshake:
        from kaos_probe import handshake

        url = self._url.format(
            service=question.service, namespace=question.namespace, port=SERVICE_PORT, path=question.path
        )
        return await handshake(url, timeout=self._timeout, transport=question.protocol)  # type: ignore[arg-type]

    @staticmethod
    def _doubts(asked: _Asked, answer: Handshake) -> bool:
        """One failure of a server that answered is asked about once more before it is told."""
        before = asked.answer is not None and asked.answered_epoch == asked.question.epoch
        served = before and asked.answer is not None and asked.answer.outcome in ("ok", "auth")
        asked.doubted = served and answer.outcome not in ("ok", "auth") and not asked.doubted
        return asked.doubted

    def _pause(self, asked: _Asked, answer: Handshake) -> float:
        """A server that refuses may only be young; one that hangs is not asked more often for it (F27)."""
        interval = self._interval if asked.question.interval is None else asked.question.interval
        if answer.outcome != "failed":
            asked.refusals = 0
            return interval
        asked.refusals += 1
        return min(self._first * 2.0 ** (asked.refusals - 1), interval)
