"""Which processes are ours: by process id and start time, so that a reused id never costs a stranger its life."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOGS = (f"{os.sep}log", f"{os.sep}supervisor.log")
_OF_SHELLS = frozenset({"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"})
_SAME_START = 0.05
"""Seconds; a start is known to a hundredth of one."""


@dataclass(frozen=True)
class Identity:
    """One process for all time: `created` in seconds since the boot, which no setting of the clock changes."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None when there is none or it has ended already."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, _created(process))
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Whether this very process still runs."""
        now = Identity.of(self.pid)
        return now is not None and abs(now.created - self.created) < _SAME_START

    async def ended(self) -> None:
        """Wait for its end; it need not be our child."""
        if hasattr(os, "pidfd_open"):
            try:
                handle = os.pidfd_open(self.pid)
            except OSError:
                return
            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            try:
                # Checked after the open: from here on the handle is this process or it is over.
                if self.alive():
                    loop.add_reader(handle, over.set)
                    await over.wait()
            finally:
                loop.remove_reader(handle)
                os.close(handle)
        while self.alive():
            await asyncio.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        """Signal the process and its group."""
        if not self.alive():
            return
        # Both: one that was forked a moment ago may not lead its group yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

    async def stop(self, grace: float) -> None:
        """SIGTERM to the group; after `grace` seconds SIGKILL to whoever is left of it or of its descendants."""
        family = self._descendants()
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended()
        # Descendants in sessions of their own end with their parent in good programs: give them a moment.
        deadline = time.monotonic() + (0.5 if not self.alive() else 0)
        while _running(family) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self.alive():
            family += [other for other in self._descendants() if other not in family]
            self.signal(signal.SIGKILL)
            await self.ended()
        self.kill_group()
        for process in _running(family):
            with contextlib.suppress(psutil.Error):
                process.kill()
        while _running(family):
            await asyncio.sleep(0.02)

    def family(self) -> set[int]:
        """The process ids of its descendants."""
        return {process.pid for process in self._descendants()}

    def kill_group(self) -> None:
        """SIGKILL what is left of the group of a process that has ended: its id stays taken while a member lives."""
        if Identity.of(self.pid) is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _descendants(self) -> list[psutil.Process]:
        if not self.alive():
            return []
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            return []


def writing_below(root: Path, *, logs: tuple[str, ...] = _LOGS) -> list[Identity]:
    """Processes that hold a log below `root` open for writing, as all that the supervisor starts do.

    Commands that read a log or write another file are none of them. On Linux also those whose log has been removed.
    """
    found = _holding(root, logs)
    if found and not Path("/proc/self/fd").is_dir():
        # How a file is open cannot be told here; who only reads a log closes it at once.
        again = _holding(root, logs)
        found = [identity for identity in found if identity in again]
    return found


def end_writing_below(root: Path, grace: float) -> bool:
    """End the programs among them: SIGTERM, after `grace` seconds SIGKILL; whether there were any. It blocks."""
    # Not who writes to the supervisor's log: that may be a supervisor that is just being started.
    return _end(writing_below(root, logs=_LOGS[:1]), grace)


def end_listening_on(port: int, environment: str, since: float, grace: float) -> bool:
    """End the programs that listen there, if they are ours: started since then, with exactly this environment.

    It finds a daemon that has left its session and closed its log. `environment` is a `fingerprint_of` one; a user's
    own program, started from a shell, has another. It blocks; whether there were any.
    """
    found = []
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                with contextlib.suppress(psutil.Error, OSError):
                    process = psutil.Process(connection.pid)
                    created = _created(process)
                    if created >= since - _SAME_START and fingerprint_of(process.environ()) == environment:
                        found.append(Identity(process.pid, created))
    return _end(found, grace)


def fingerprint_of(env: Mapping[str, str]) -> str:
    """The same for the same environment, whatever shells add to it on the way."""
    items = sorted((name, value) for name, value in env.items() if name not in _OF_SHELLS)
    return hashlib.sha256(repr(items).encode("utf-8", "surrogateescape")).hexdigest()


def _end(left: list[Identity], grace: float) -> bool:
    found = left
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + seconds
        for identity in left:
            identity.signal(number)
        while left and time.monotonic() < deadline:
            left = [identity for identity in left if identity.alive()]
            time.sleep(0.02)
    return bool(found)


def _holding(root: Path, logs: tuple[str, ...]) -> list[Identity]:
    prefix = f"{root}{os.sep}"
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(
                path.startswith(prefix) and path.removesuffix(" (deleted)").endswith(logs)
                for path in _open_paths(process)
            ):
                found.append(Identity(process.pid, _created(process)))
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def _open_paths(process: psutil.Process) -> Iterator[str]:
    handles = Path(f"/proc/{process.pid}/fd")
    if not handles.is_dir():
        yield from (file.path for file in process.open_files())
        return
    for handle in handles.iterdir():
        with contextlib.suppress(FileNotFoundError):
            path = str(handle.readlink())
            if path.removesuffix(" (deleted)").endswith(_LOGS) and _writes(process.pid, handle.name):
                yield path


def _writes(pid: int, handle: str) -> bool:
    for line in Path(f"/proc/{pid}/fdinfo/{handle}").read_text(encoding="ascii").splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _created(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())


def _running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    running = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running
