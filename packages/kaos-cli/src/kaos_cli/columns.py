"""The printer columns of a kind as a table: what `kubectl get` makes of the CRD, made of the same `Kind`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaos_cli.output import age, table

if TYPE_CHECKING:
    from kaos_core.kinds import Kind

_STEP = re.compile(
    r"""\.(?P<key>[^.\[]+) | \[\?\(@\.(?P<by>\w+)\s*==\s*["'](?P<value>[^"']*)["']\)\] | \[(?P<index>\d+|\*)\]""",
    re.VERBOSE,
)


def built_in_kind(name: str) -> Kind:
    """A kind of ours, without loading any plugin."""
    kind: Kind = import_module(f"kaos_core.kinds.{name.lower()}").KIND
    return kind


def printed(name: str, resources: Sequence[Mapping[str, Any]], *, wide: bool, namespaces: bool) -> str:
    """Resources of one kind with its columns; `wide` shows those of priority 1 too."""
    columns = [column for column in built_in_kind(name).columns if wide or column.priority == 0]
    first = ["NAMESPACE", "NAME"] if namespaces else ["NAME"]
    header = [*first, *(column.name.upper() for column in columns), "AGE"]
    rows = []
    for resource in resources:
        metadata = resource["metadata"]
        own = [metadata["namespace"], metadata["name"]] if namespaces else [metadata["name"]]
        rows.append(
            [*own, *(at(resource, column.json_path) for column in columns), age(metadata.get("creationTimestamp", ""))]
        )
    return table(header, rows)


def at(resource: Any, path: str) -> Any:
    """What stands at a JSONPath of keys, `[0]`, `[*]` and `[?(@.type=="Ready")]`; None when nothing does."""
    found = resource
    for step in _STEP.finditer(path):
        if step["key"] is not None:
            found = found.get(step["key"]) if isinstance(found, Mapping) else None
        elif not isinstance(found, list):
            return None
        elif step["by"] is not None:
            found = next(
                (item for item in found if isinstance(item, Mapping) and str(item.get(step["by"])) == step["value"]),
                None,
            )
        elif step["index"] != "*":
            found = found[int(step["index"])] if int(step["index"]) < len(found) else None
    return found


def ready(resource: Mapping[str, Any]) -> tuple[str, str, str]:
    """The condition Ready: its status, reason and message; the first condition that is False speaks before it."""
    conditions = at(resource, ".status.conditions") or []
    told = next(
        (
            item
            for item in conditions
            if item.get("status") == "False" and item.get("type") in ("Accepted", "ResolvedRefs", "Programmed")
        ),
        None,
    )
    condition = told or at(resource, '.status.conditions[?(@.type=="Ready")]') or {}
    state = at(resource, '.status.conditions[?(@.type=="Ready")].status') or "Unknown"
    return state, condition.get("reason", ""), condition.get("message", "")
