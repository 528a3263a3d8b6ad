"""`python -m kaos_cli.local.supervisor STORE [MODULE,MODULE…]…`: the background process of a store, one for each.

It first starts the fork parents that it is told to, since their imports take longest; then it loads the rest of itself.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kaos_cli.local import forkserver

_LOCK_PATIENCE = 60.0


def main() -> int:
    """Hold the store's lock and run until the store is empty; 0 also when another supervisor has it."""
    os.umask(0o077)
    log = sys.stderr.fileno()
    started = {modules: forkserver.spawn(modules, log) for modules in (tuple(word.split(",")) for word in sys.argv[2:])}

    import asyncio

    from filelock import FileLock, Timeout

    from kaos_cli.local.bootstrap import is_alive
    from kaos_cli.local.forks import ForkParents
    from kaos_cli.local.settings import Settings
    from kaos_cli.local.store import Store
    from kaos_cli.local.supervision import Supervisor

    store = Store(Path(sys.argv[1]))
    lock = FileLock(store.root / "supervisor.lock")
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            # One that is about to end holds the lock but no longer listens; one that listens makes us needless.
            if is_alive(store):
                return 0
            if time.monotonic() > deadline:
                sys.stderr.write("another supervisor holds the store and does not listen\n")
                return 1
    try:
        status = asyncio.run(Supervisor(store, Settings.read(os.environ), ForkParents(log, started)).run())
    finally:
        lock.release()
    sys.stderr.flush()
    # Taking the MCP client apart would take longer than everything else about the end.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
