"""Drift: does a live object still say what was applied? Pure; it decides whether a change by others is undone.

The live object has more than the manifest (defaults, other people's annotations, injected sidecars), so the question
is whether the manifest is contained in it. Server-side apply would also answer it, at the price of a write.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from kaos_operator.objects import Object

_MERGE_KEYS = ("name", "containerPort", "port", "uid", "mountPath", "ip", "key")
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def settled_part(live: Mapping[str, Any]) -> Object:
    """What of a live object a drift can be in: everything but its status and the server's own metadata."""
    meta = live.get("metadata", {})
    kept = {name: meta[name] for name in ("labels", "annotations", "ownerReferences") if name in meta}
    rest = {name: value for name, value in live.items() if name not in ("metadata", "status", "apiVersion", "kind")}
    return {"metadata": kept, **rest}


def drifted(manifest: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    """The first field of the manifest that the live object contradicts, as a path; empty when none does."""
    for part in settled_part(manifest):
        if path := _difference(manifest.get(part), live.get(part), part):
            return path
    return ""


def _difference(wanted: Any, found: Any, path: str) -> str:
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return "" if not wanted and found is None else path
        return next((bad for k, v in wanted.items() if (bad := _difference(v, found.get(k), f"{path}.{k}"))), "")
    if isinstance(wanted, list):
        if not wanted and found is None:
            return ""
        return _list_difference(wanted, found, path) if isinstance(found, list) else path
    if wanted == found or _absent(wanted, found) or _same_quantity(wanted, found):
        return ""
    return path


def _list_difference(wanted: list[Any], found: list[Any], path: str) -> str:
    key = next((k for k in _MERGE_KEYS if wanted and all(isinstance(i, Mapping) and k in i for i in wanted)), "")
    if not key:
        if len(wanted) != len(found):
            return path
        pairs = list(zip(wanted, found, strict=True))
    else:
        by_key = {item[key]: item for item in found if isinstance(item, Mapping) and key in item}
        pairs = [(item, by_key.get(item[key])) for item in wanted]
    return next((bad for i, (a, b) in enumerate(pairs) if (bad := _difference(a, b, f"{path}[{i}]"))), "")


def _absent(wanted: Any, found: Any) -> bool:
    """The API server leaves out what equals the zero value (`omitempty`)."""
    return found is None and wanted in ("", 0, False, None)


def _same_quantity(wanted: Any, found: Any) -> bool:
    """`1024Mi` comes back as `1Gi`, and 1 as `"1"`."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return False
    one, other = _quantity(wanted), _quantity(found)
    return one is not None and one == other


def _quantity(value: Any) -> Decimal | None:
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None
