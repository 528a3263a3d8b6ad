"""A worker that does not answer: does a tool hold it, or does it wait for the processor? The pool asks; /proc tells.

By the clock alone a busy machine, or a pod at its CPU limit, looks like a tool that hangs.
"""

from __future__ import annotations

import os
from pathlib import Path

SILENCE_SECONDS = 0.4
"""A ping that is unanswered for so long is worth the question."""
WORK_SECONDS = 0.3
"""Of processor time: more than what turning the largest results into JSON takes at one go."""


def processor_seconds(pid: int) -> float:
    """What a process has used so far, with all of its threads; 0 when that is not known."""
    fields = _fields(Path(f"/proc/{pid}/stat"))
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def is_held(pid: int, used: float) -> bool:
    """Whether a silent process is held, given what it had used when it was asked.

    It is when it has worked all the while, or when none of its threads can run: then they wait for something else than
    the processor or the disk.
    """
    if processor_seconds(pid) - used >= WORK_SECONDS:
        return True
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return not any(fields[0] in "RD" for fields in map(_fields, threads) if fields)


def _fields(stat: Path) -> list[str]:
    """From the state on: the name before it may hold anything. Empty when the process is gone or there is no /proc."""
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
