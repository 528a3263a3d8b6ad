"""A time limit for code of plugins. It runs in our thread, so a hook that hangs would stop everything else."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Alarm(BaseException):
    """Not an Exception: a hook that catches those must not catch this one."""


class OverdueError(TimeoutError):
    """What ran inside `at_most` was stopped."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Have what runs inside end after that time.

    Only where there are timer signals, and only in the main thread; elsewhere there is no limit. An outer limit that
    is over earlier stays as it is.

    Raises:
        OverdueError: it was not done by then.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < left <= seconds:
        yield
        return
    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, _ring)
    # More than once: what runs may catch everything.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    except _Alarm:
        raise OverdueError(f"it took more than {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001))


def _ring(_: int, __: FrameType | None) -> None:
    raise _Alarm
