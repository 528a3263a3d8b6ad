"""Programs that never outlive this process: each behind a `guard` that kills it when our end of a pipe is closed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
_GUARD = Path(__file__).with_name("guard.py")


class Program:
    """One that runs; `remove` names a folder that goes with it."""

    def __init__(self, argv: Sequence[str | Path], log: Path, remove: Path | None = None) -> None:
        self.log = log
        self.name = Path(argv[0]).name
        with log.open("ab") as output:
            self._guard = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", _GUARD, remove or "-", *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for the tests; they end it then.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._guard.poll() is None

    def kill(self) -> None:
        """End it at once; what it stored is thrown away, so it need not tidy up."""
        if self._guard.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
        self._guard.wait()

    def why(self) -> str:
        """The end of its log in one line."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        return f"{self.name} ended: {' | '.join(lines[-4:])[-1500:] or 'it said nothing'}"


def free_ports(count: int) -> list[int]:
    """Ports of loopback on which nobody listens now. Somebody may a moment later: try again with others then."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
