"""A silent process is held by what it does, or it waits for the processor: told apart on real processes."""

import subprocess
import sys
from contextlib import contextmanager

from kaos_runtime_rawpython.silence import WORK_SECONDS, is_held, processor_seconds


@contextmanager
def running(code):
    """A process that runs the code after it has said so."""
    argv = [sys.executable, "-c", f"import re, threading, time\nprint('runs', flush=True)\n{code}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def until(look):
    while not look():
        pass


def test_one_that_has_worked_all_the_while_is_held():
    with running('re.match(r"(a+)+$", "a" * 60 + "b")') as pid:
        until(lambda: processor_seconds(pid) > WORK_SECONDS)
        assert is_held(pid, 0.0)


def test_one_that_would_run_if_it_could_is_not_held_yet():
    """As on a busy machine, or in a pod at its CPU limit: the same process, asked a moment ago."""
    with running('re.match(r"(a+)+$", "a" * 60 + "b")') as pid:
        until(lambda: processor_seconds(pid) > WORK_SECONDS)
        assert not is_held(pid, processor_seconds(pid))


def test_one_that_sleeps_is_held_though_it_uses_nothing():
    with running("threading.Thread(target=time.sleep, args=(1e9,)).start()\ntime.sleep(1e9)") as pid:
        until(lambda: is_held(pid, processor_seconds(pid)))


def test_one_that_is_gone_holds_nobody_up():
    with running("pass") as pid:
        pass
    assert processor_seconds(pid) == 0.0
    assert is_held(pid, 0.0)
