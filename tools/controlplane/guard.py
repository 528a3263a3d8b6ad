"""`python guard.py FOLDER PROGRAM ARGUMENT…`: runs a program for as long as somebody holds the other end of its stdin.

However that process ends, also by SIGKILL, the kernel closes the pipe, and the program is killed; FOLDER, unless it is
`-`, is removed then. The program's own end is passed on. Standard library only, started with `-I -S`: it takes 15 ms.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time


def main(folder: str, argv: list[str]) -> int:
    """Run it; its exit status."""
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # noqa: S603
    threading.Thread(target=_kill_at_the_end, args=(child,), daemon=True).start()
    status = child.wait()
    if status == -signal.SIGKILL and folder != "-":
        _remove(folder)
    return status if status >= 0 else 128 - status


def _kill_at_the_end(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    child.kill()


def _remove(folder: str) -> None:
    # Others that write there are being killed at the same moment.
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):  # noqa: PTH110  # pathlib would be most of the start-up time
            return
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
