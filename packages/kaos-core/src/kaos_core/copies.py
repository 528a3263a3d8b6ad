"""Copies of plain data: documents and objects, for whoever may change them."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def copy_of(value: T) -> T:
    """A copy of mappings and lists, as deep as they go; anything else is shared.

    `copy.deepcopy` takes five times as long: it also serves cycles and objects of any class, which no document has.
    """
    if isinstance(value, dict):
        return {key: copy_of(item) for key, item in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [copy_of(item) for item in value]  # type: ignore[return-value]
    return value
