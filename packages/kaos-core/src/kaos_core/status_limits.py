"""How much of what others say a status holds: text of servers, kubelets and programs, cut to what everyone can read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MAX_STATUS = 8 * 1024
"""Bytes of a whole status as JSON; tools beyond it are counted, not listed."""
MAX_MESSAGE = 1024
"""Bytes of a condition's message as JSON; likewise of the other texts."""
MAX_BLOCKED = 128
"""Of the message of a condition that is unknown because one before it is not True; that one has the whole message."""
MAX_WARNINGS = 512
"""Of the message of a condition that is True in spite of what the plan warns of."""
MAX_DETAIL = 160
MAX_NAME = 64


def short(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition that somebody else wrote, its texts cut."""
    limits = {"message": MAX_DETAIL}
    return {
        name: clipped(value, limits.get(name, MAX_NAME)) if isinstance(value, str) else value
        for name, value in condition.items()
    }


def fitting(names: Sequence[str], room: int) -> list[str]:
    """The first names that fit, each cut to what MCP allows for a tool."""
    listed = []
    for name in names:
        shown = clipped(name, MAX_DETAIL)
        room -= size(shown) + len(", ")
        if room < 0:
            break
        listed.append(shown)
    return listed


def size(value: Any) -> int:
    """Bytes of plain data as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def clipped(text: str, limit: int = MAX_MESSAGE) -> str:
    """One line of printable text whose JSON has at most `limit` bytes: it may come from a hostile program."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    line = " ".join(line.split())
    if len(text) <= 4 * limit and size(line) <= limit:
        return line
    room = limit - size("…")
    kept = []
    for letter in line:
        room -= size(letter) - len('""')
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + "…"
