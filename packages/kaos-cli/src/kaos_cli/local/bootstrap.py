"""How a command reaches the supervisor: is it alive, wake it, start it. Light: every `kaos` command may import this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kaos_cli.errors import CommandError
from kaos_cli.local.store import Store, cannot

HAND_OVER = b"h"
_WAKE = b"w"
_FOR_SUPERVISOR = ("KAOS_", "PYTHON", "COVERAGE_")
_START_SECONDS = 60.0


def wake_path(store: Store) -> Path:
    """The fifo that a living supervisor reads."""
    return store.root / "wake"


def supervisor_file(store: Store) -> Path:
    """What a living supervisor says about itself, once it has looked at every resource."""
    return store.root / "supervisor.json"


def is_alive(store: Store) -> bool:
    """Whether a supervisor listens."""
    return _send(store, b"")


def wake(store: Store) -> bool:
    """Make the supervisor look at once; False when there is none."""
    return _send(store, _WAKE)


def _send(store: Store, message: bytes) -> bool:
    try:
        # Without a reader this fails, whatever an earlier supervisor left behind.
        handle = os.open(wake_path(store), os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if message:
            os.write(handle, message)
    except BlockingIOError:
        pass  # A full pipe: it is about to be read.
    except BrokenPipeError:
        return False
    finally:
        os.close(handle)
    return True


def announcement(store: Store) -> dict[str, Any]:
    """What the supervisor says about itself; empty when it has not said anything yet."""
    try:
        value = json.loads(supervisor_file(store).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class Bootstrap:
    """Starts the supervisor of a store, at most once per command."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, preload: Collection[Sequence[str]] = ()) -> None:
        """Start it if there is none, with these fork parents to begin with; it is not waited for."""
        if is_alive(self._store) or (self._process is not None and self._process.poll() is None):
            return
        from kaos_cli.local.launch import for_engines

        env = {
            **for_engines(os.environ),
            **{name: value for name, value in os.environ.items() if name.startswith(_FOR_SUPERVISOR)},
        }
        log = self._store.root / "supervisor.log"
        try:
            self._store.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise cannot("write", log, error) from None
        try:
            fork_parents = [",".join(modules) for modules in preload]
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                # -P: a module in the working folder must not stand in for one of ours.
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "kaos_cli.local.supervisor",
                    str(self._store.root),
                    *fork_parents,
                ],
                # It waits for a first resource until this closes.
                stdin=subprocess.PIPE,
                stdout=handle,
                stderr=handle,
                env=env,
                cwd=self._store.root,
                start_new_session=True,
            )
        finally:
            os.close(handle)

    def release(self) -> None:
        """A supervisor that was started here need not wait for a resource any longer."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def look(self) -> None:
        """Make the supervisor look at the store: wake it, or start it."""
        if not wake(self._store):
            self.begin()
        self.release()

    def check(self) -> None:
        """Raise CommandError when the supervisor that was started has failed and there is no other."""
        process = self._process
        if process is None or process.poll() in (None, 0) or is_alive(self._store):
            return
        log = self._store.root / "supervisor.log"
        try:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        except (OSError, IndexError):
            last = "it said nothing"
        raise CommandError(f"the supervisor ended with status {process.returncode}: {last[:500]}", hint=f"see {log}")

    def settled(self) -> None:
        """Have a supervisor that has looked at every resource. Raises CommandError when none comes up in time."""
        deadline = time.monotonic() + _START_SECONDS
        self.begin()
        while not (is_alive(self._store) and announcement(self._store)):
            self.check()
            if time.monotonic() > deadline:
                raise CommandError(
                    f"no supervisor within {_START_SECONDS:g} s", hint=f"see {self._store.root / 'supervisor.log'}"
                )
            time.sleep(0.02)
            self.begin()
        self.release()

    def renew(self, fingerprint: str) -> None:
        """Replace a supervisor that runs other code; its servers go on."""
        said = announcement(self._store)
        if said and said.get("fingerprint") != fingerprint and _send(self._store, HAND_OVER):
            deadline = time.monotonic() + _START_SECONDS
            if self._process is not None and self._process.pid == said.get("pid"):
                self.reap()
            while (
                is_alive(self._store)
                and announcement(self._store).get("pid") == said.get("pid")
                and time.monotonic() < deadline
            ):
                time.sleep(0.02)
            self.begin()

    def reap(self) -> None:
        """Wait for the supervisor that was started here, so that it leaves no zombie to a long-lived caller."""
        if self._process is not None:
            self.release()
            self._process.wait()
            self._process = None
