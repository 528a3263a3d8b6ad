"""The process between front and workers: single-threaded, forks a worker when the front asks, ends what one leaves.

It never runs the code itself; each worker does. State that survives a fork badly (threads, connections, locks that the
top level made) would otherwise be broken in every worker but the first.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import traceback

from kaos_runtime_rawpython import limits
from kaos_runtime_rawpython.channel import socket_pair
from kaos_runtime_rawpython.config import Config
from kaos_runtime_rawpython.worker import run_worker

_COMMAND_BYTES = 4096


def fork_template(config: Config, code: str) -> tuple[int, socket.socket]:
    """Fork it from this process, which must have one thread and no loop: process id, and the end to command it by.

    Commands are one JSON packet each: `{"spawn": ID}` with the worker's socket attached, `{"kill": ID}`. It answers
    `{"forked": ID, "pid": N}`, later `{"exited": ID, "status": N}`, N as in `subprocess` (negative: the signal). When
    the other end closes, by whatever death, it kills all workers with everything they started and exits.
    """
    ours, theirs = socket_pair()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    status = 1
    try:
        ours.close()
        _Template(config, code, theirs).run()
        status = 0
    except BaseException:  # noqa: BLE001  # a fork must never return into its parent's code
        traceback.print_exc()
    finally:
        os._exit(status)


class _Template:
    def __init__(self, config: Config, code: str, control: socket.socket) -> None:
        self._config = config
        self._code = code
        self._control = control
        self._workers: dict[int, int] = {}
        self._forked = 0

    def run(self) -> None:
        # Its own session: signals for the server's process group are the front's to handle.
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        limits.adopt_orphans()
        wake_in, wake_out = os.pipe()
        os.set_blocking(wake_in, False)
        os.set_blocking(wake_out, False)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while True:
                readable, _, _ = select.select([self._control.fileno(), wake_in], [], [])
                if wake_in in readable:
                    os.read(wake_in, 4096)
                    self._reap()
                if self._control.fileno() in readable and not self._command():
                    return
        finally:
            self._end_all()

    def _command(self) -> bool:
        packet, fds, _, _ = socket.recv_fds(self._control, _COMMAND_BYTES, 1)
        if not packet:
            return False
        command = json.loads(packet)
        if "spawn" in command:
            self._spawn(command["spawn"], fds[0])
        else:
            for pid, id_ in self._workers.items():
                if id_ == command["kill"]:
                    _kill_group(pid)
        return True

    def _spawn(self, id_: int, fd: int) -> None:
        parent = os.getpid()
        self._forked += 1
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fd)
            self._report(exited=id_, status=error.errno or 1)
            return
        if pid:
            os.close(fd)
            self._workers[pid] = id_
            self._report(forked=id_, pid=pid)
            return
        status = 1
        try:
            self._control.close()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            run_worker(self._config, self._code, socket.socket(fileno=fd), parent, is_first=self._forked == 1)
            status = 0
        except BaseException:  # noqa: BLE001  # as in fork_template
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for pid, status in _waited():
            id_ = self._workers.pop(pid, None)
            if id_ is not None:
                # Its id is free for others now, its group's is not while a member lives.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                limits.end_children(self._workers)
                self._report(exited=id_, status=os.waitstatus_to_exitcode(status))

    def _report(self, **fields: int) -> None:
        # The front may be gone; then the loop ends at its next turn.
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(fields).encode())

    def _end_all(self) -> None:
        for pid in self._workers:
            _kill_group(pid)
        for pid in self._workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._workers.clear()
        limits.end_children(self._workers)


def _waited() -> list[tuple[int, int]]:
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append((pid, status))


def _kill_group(pid: int) -> None:
    # Both: a worker forked a moment ago may not have its own group yet.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
