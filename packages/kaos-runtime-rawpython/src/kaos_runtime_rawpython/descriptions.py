"""Texts that reach a model or a terminal -> the same texts without what hides or paints. Used when tools are built."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MAX_DESCRIPTION_BYTES = 4096

# CSI sequences, OSC strings up to their terminator, and two-character escapes (ECMA-48).
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]")
_TEXT_KEYS = ("description", "title")


def plain(text: str, limit: int = MAX_DESCRIPTION_BYTES) -> str:
    """The text without ANSI escapes, control and invisible characters, cut to `limit` bytes of UTF-8."""
    kept = "".join(
        c for c in _ANSI.sub("", text) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
    )
    encoded = kept.encode()
    return kept if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def plain_schema(schema: Any) -> Any:
    """A JSON schema with the same done to every description and title in it."""
    if isinstance(schema, list):
        return [plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: plain(value) if key in _TEXT_KEYS and isinstance(value, str) else plain_schema(value)
        for key, value in schema.items()
    }
