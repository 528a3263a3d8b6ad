"""`python -m kaos_cli.local.forkserver MODULE…`: imports the modules once, then forks a server for each request.

Many servers of one runtime share its import time and its memory that way. Standard library only, one thread, no loop.
Standard input is a socket: one object a line. In: `{"id", "module", "args", "env", "cwd", "log"}`. Out: `{"ready"}`
once, `{"id", "pid"}` after a fork, `{"id", "exit"}` after its end (as in `subprocess`: negative is a signal). When the
socket closes it ends and leaves its children running; whoever comes next adopts them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

_CHUNK = 1 << 16


def spawn(
    modules: Sequence[str], log: int, python: str = sys.executable
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start one: the process, and our end of its socket. `log` is where it may write to, `python` what runs it."""
    from kaos_cli.local.launch import passed_on

    ours, theirs = socket.socketpair()
    # Those of the measurement of test coverage too; its children get an environment of their own.
    env = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    process = subprocess.Popen(  # noqa: S603  # our own module
        # -P: a module in the working folder must not stand in for one of ours.
        [python, "-P", "-m", "kaos_cli.local.forkserver", *modules],
        stdin=theirs.fileno(),
        stdout=log,
        stderr=log,
        env={**passed_on(os.environ), **env},
        cwd="/",
        start_new_session=True,
    )
    theirs.close()
    return process, ours


def main() -> int:
    """Serve until the socket closes. In a forked child: the exit status of its program."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # What is loaded by now stays for good: unfrozen, the collector would write to, and so copy, every shared page.
    gc.collect()
    gc.freeze()
    request = _serve(control)
    if request is None:
        # Taking the preloaded modules apart would take longer than ending a server.
        os._exit(0)
    return _run(request)


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """None when the supervisor is gone; in a child, what it is to run."""
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_in, False)
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, int] = {}
    pending = b""
    _say(control, {"ready": True})
    while True:
        readable, _, _ = select.select([control.fileno(), wake_in], [], [])
        if wake_in in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_in, 4096)
            _reap(control, children)
        if control.fileno() not in readable:
            continue
        try:
            chunk = control.recv(_CHUNK)
        except ConnectionError:
            return None
        if not chunk:
            return None
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            request: dict[str, Any] = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                os.close(wake_in)
                os.close(wake_out)
                control.close()
                return request
            children[pid] = request["id"]
            _say(control, {"id": request["id"], "pid": pid})


def _reap(control: socket.socket, children: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in children:
            _say(control, {"id": children.pop(pid), "exit": os.waitstatus_to_exitcode(status)})


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    # The supervisor may be gone; the next read says so.
    with contextlib.suppress(ConnectionError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _run(request: dict[str, Any]) -> int:
    """Become the program: as if it had been started with `python -m`."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    module = importlib.import_module(request["module"])
    sys.argv = [module.__file__ or request["module"], *request["args"]]
    status = module.main(request["args"])
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
