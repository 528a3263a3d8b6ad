"""What a worker may take from the machine, and what ends it with its parent. Linux has all of it, others part."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Container
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES = 1024
_END_SECONDS = 5.0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exits at once if that has happened already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Processes that a worker's tools detach become children of this one, which can then end them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_children(kept: Container[int] = ()) -> None:
    """Kill this process's children and what they leave in turn, except those kept; none where /proc is missing."""
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        ending = [pid for pid in _children() if pid not in kept]
        if not ending:
            return
        for pid in ending:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in ending:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def limit_worker(memory: int) -> None:
    """Memory, open files, no core dumps, and first in line for the out-of-memory killer.

    RLIMIT_DATA rather than RLIMIT_AS: libraries map far more address space than they fill.
    """
    if memory:
        _lower(resource.RLIMIT_DATA, memory)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    # A wish: not every system has it, not every container lets it be written.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def limit_tasks(added: int) -> bool:
    """Let this user have `added` tasks more than it has now; False for root, whom the kernel does not limit.

    One more per core is allowed, since numeric libraries start a thread for each.
    """
    uid = os.getuid()
    if uid == 0 or not sys.platform.startswith("linux"):
        return False
    tasks = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                tasks += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208  # thousands of entries: names are enough
        except OSError:
            continue  # it ended while we looked
    _lower(resource.RLIMIT_NPROC, tasks + added + (os.cpu_count() or 1))
    return True


def lift_task_limit() -> None:
    """Back to the limit that the server itself has."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))


def seal_task_limit() -> None:
    """Make the soft limit the hard one, so that tools cannot lift it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (soft, soft))


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    # The number of tasks stays raisable until the worker's threads run.
    resource.setrlimit(kind, (value, hard if kind == resource.RLIMIT_NPROC else value))


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
