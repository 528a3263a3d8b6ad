"""Pods -> the few facts about them that a status needs. Pure; the rest of a pod is never kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kaos_core.manifests.names import DEFAULT_CONTAINER
from kaos_core.status_limits import clipped


@dataclass(frozen=True, slots=True)
class Pod:
    """What one pod says. `exit_code` is that of a container that ended and has not been ready since."""

    name: str
    uid: str
    created: str
    ready: bool
    restarts: int = 0
    exit_code: int | None = None
    last_line: str = ""
    waiting: str = ""
    waiting_message: str = ""

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Pod:
        """From a Pod object."""
        meta, status = obj["metadata"], obj.get("status") or {}
        main = (meta.get("annotations") or {}).get(DEFAULT_CONTAINER, "")
        statuses = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
        found = _Container.worst(sorted(statuses, key=lambda one: one.get("name") != main))
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            created=meta.get("creationTimestamp") or "",
            ready=ready and not meta.get("deletionTimestamp"),
            restarts=sum(int(one.get("restartCount") or 0) for one in statuses),
            exit_code=found.exit_code,
            last_line=found.last_line,
            waiting=found.waiting,
            waiting_message=found.waiting_message,
        )

    @property
    def troubled(self) -> bool:
        """Something keeps it from running."""
        return self.exit_code is not None or bool(self.waiting and self.waiting not in _ON_ITS_WAY)


_ON_ITS_WAY = {"ContainerCreating", "PodInitializing"}


class _Container(NamedTuple):
    exit_code: int | None = None
    last_line: str = ""
    waiting: str = ""
    waiting_message: str = ""

    @classmethod
    def worst(cls, statuses: Iterable[Mapping[str, Any]]) -> _Container:
        """The first container with trouble; else the first that waits; else nothing of note."""
        found = [cls.of(status) for status in statuses]
        troubled = (one for one in found if one.exit_code is not None or one.waiting not in ("", *_ON_ITS_WAY))
        return next(troubled, next((one for one in found if one.waiting), cls()))

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> _Container:
        state, last = status.get("state") or {}, status.get("lastState") or {}
        waiting = state.get("waiting") or {}
        # Until the next try is ready the last one counts: a status must not take back its reason at every restart.
        ended = state.get("terminated") or (None if status.get("ready") else last.get("terminated")) or {}
        code = ended.get("exitCode")
        lines = str(ended.get("message") or "").strip().splitlines()
        # An init container that is done has ended well; a server that ended with 0 has ended all the same.
        done = code == 0 and bool(status.get("ready"))
        return cls(
            None if code is None or done else int(code),
            clipped(lines[-1]) if lines and not done else "",
            waiting.get("reason") or "",
            clipped(waiting.get("message") or ""),
        )
