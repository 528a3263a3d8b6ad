"""What the local target does, for the tests: imports the server once, then forks a process per server.

One JSON line per request on stdin, one per answer on stdout:
{"env", "argv", "log", "uid"?} -> {"pid"} and {"wait": PID, "seconds"} -> {"status": N or null}.
"""

import ctypes
import json
import os
import sys
import threading
import time
from pathlib import Path

from kaos_runtime_rawpython import server


def start(request: dict) -> int:
    pid = os.fork()
    if pid:
        return pid
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.environ.clear()
    os.environ.update(request["env"])
    if request.get("uid"):
        os.setgroups([])
        os.setgid(request["uid"])
        os.setuid(request["uid"])
        # PR_SET_DUMPABLE: without an exec(), /proc would show these processes as root's.
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    status = 1
    try:
        status = server.main(request["argv"])
    finally:
        os._exit(status)


def wait(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def answer(**fields: int | None) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


assert threading.active_count() == 1, "importing the server must start no thread"
answer(threads=len(list(Path("/proc/self/task").iterdir())))
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        answer(status=wait(asked["wait"], asked["seconds"]))
    else:
        answer(pid=start(asked))
