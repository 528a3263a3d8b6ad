"""The log of one resource: its program writes it, the supervisor rotates it, commands read and follow it.

The program holds the file open for appending and survives the supervisor, so rotation copies to `log.1` and truncates.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_TAIL_BYTES = 64 * 1024
_CHUNK = 1 << 20
MAX_LINE = 500
_WINDOW = 40
"""Lines from the end in which an error is looked for: as long as a usage text may be."""
_ERROR = re.compile(r"(Error|error|ERROR|Fatal|fatal|FATAL)\b|[\w.]*(Error|Exception)\b")
OWN = "kaos: "
"""Begins the lines that are not the program's."""


def size(log: Path) -> int:
    """Bytes, 0 when it is not there."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def say(log: Path, sentence: str) -> None:
    """Append a line of our own, between those of the program. A full disk costs this line, nothing else."""
    with suppress(OSError), open(log, "a", encoding="utf-8", opener=_private) as file:
        file.write(f"{OWN}{sentence}\n")


def last_line(log: Path, start: int, *, verbatim: bool = False) -> str:
    """Why the program ended, from the byte `start` on; at most 500 characters.

    The last line that tells of an error (`Error: …`, the last one of a traceback), since a usage text may follow it;
    without one, or when `verbatim`, the last line that is not empty.
    """
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(min(start, end), end - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(OWN)][-_WINDOW:]
    told = next((index for index in reversed(range(len(lines))) if _is_error(lines, index)), len(lines) - 1)
    return lines[-1 if verbatim else told].strip()[:MAX_LINE] if lines else ""


def _is_error(lines: list[str], index: int) -> bool:
    if lines[index].startswith("Traceback ("):
        return False
    if _ERROR.match(lines[index]):
        return True
    # The end of a traceback: whatever the exception is called, it is the first line that is not indented.
    if lines[index].startswith(" "):
        return False
    above = index - 1
    while above >= 0 and lines[above].startswith(" "):
        above -= 1
    return 0 <= above < index - 1 and lines[above].startswith("Traceback (")


def rotate(log: Path, limit: int) -> bool:
    """Move a log of more than `limit` bytes to `log.1`; whether it did."""
    if size(log) <= limit:
        return False
    copy = log.with_name(".log.rotating")
    try:
        with log.open("r+b", buffering=0) as source, open(copy, "wb", opener=_private) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                target.flush()
            # Nothing else stands between the read that finds no more and this: what is written there is lost.
            source.truncate(0)
        # After the truncation: a reader that sees a new log.1 knows that the log starts anew.
        copy.replace(log.with_name("log.1"))
    except OSError:
        copy.unlink(missing_ok=True)
        return False
    return True


def lines(log: Path, *, tail: int | None, start: int = 0, end: int | None = None, older: bool = False) -> list[str]:
    """The last `tail` lines between two bytes, with `older` those of `log.1` before them."""
    data = b""
    if older:
        with suppress(OSError):
            data = log.with_name("log.1").read_bytes()
    with suppress(OSError):
        data += log.read_bytes()[start:end]
    found = data.decode("utf-8", "replace").splitlines()
    if tail is None:
        return found
    return found[-tail:] if tail > 0 else []


def follow(
    log: Path, *, tail: int | None, gone: Callable[[], bool], start: int | None = None, interval: float = 0.1
) -> Iterator[str]:
    """Yield lines as they are written, across rotations, until `gone()` says that there is no more to come.

    Before them come the last `tail` lines, or with `start` all from that byte on.
    """
    position = size(log) if start is None else min(start, size(log))
    rotated = _inode(log.with_name("log.1"))
    pending = b""
    if start is None:
        yield from lines(log, tail=tail, end=position, older=True)
    while True:
        over = gone()
        now = _inode(log.with_name("log.1"))
        if now != rotated:
            rotated = now
            pending += _read(log.with_name("log.1"), position)
            position = 0
        chunk = _read(log, position)
        position += len(chunk)
        *ready, pending = (pending + chunk).split(b"\n")
        for line in ready:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if over:
            if pending:
                yield pending.decode("utf-8", "replace")
            return
        if not chunk:
            time.sleep(interval)


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(_CHUNK)
    except OSError:
        return b""


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
