"""The way out when the code cannot be served here: exit status 78 and one line that says why.

The operator and the local target take the line's first word as the reason of the `Ready` condition.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kaos_runtime_rawpython.source import one_line

EX_CONFIG = 78
"""`EX_CONFIG` of sysexits.h: restarting with the same configuration cannot help."""


class StartError(Exception):
    """The server cannot serve this code.

    Attributes:
        reason: `InvalidParams`, `InvalidCode`, `ImportError`, `NoTools` or `NoLocalRuntime`.
        message: one line, at most 200 characters.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = one_line(message)
        super().__init__(f"{reason}: {self.message}")


def refuse(error: StartError, termination_log: Path) -> int:
    """Write the line to stderr (as its last) and to the container's termination log; the exit status to use."""
    line = f"{error}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
    if termination_log.is_file():
        try:
            termination_log.write_text(line, encoding="utf-8")
        except OSError as problem:
            # Said before the line that must stay last.
            sys.stderr.write(f"{termination_log} cannot be written: {problem.strerror}\n{line}")
            sys.stderr.flush()
    return EX_CONFIG
