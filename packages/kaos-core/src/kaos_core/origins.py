"""Origins: which layer set which field of a plan, for `kaos mcp explain` and for errors that name their cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from kaos_core.runtime import camel

if TYPE_CHECKING:
    from kaos_core.program import Program

GENERATED = "kaos"
"""The layer of what KAOS itself generates."""

Leaves = dict[str, Any]


@dataclass
class Origins:
    """Field path -> layer: a program's fields by name (`image`, `env.LOG_LEVEL`), objects' by `<Kind>.<path>`."""

    by_path: dict[str, str] = field(default_factory=dict)

    def note(self, path: str, layer: str) -> None:
        """`layer` set `path`."""
        self.by_path[path] = layer

    def note_program(self, program: Program, layers: Mapping[str, str]) -> None:
        """The fields of a fresh program come from the runtime's own layers, by their YAML names."""
        for path in program_leaves(program):
            name = path.partition(".")[0]
            if camel(name) in layers:
                self.note(path, layers[camel(name)])
            elif name.startswith(("local", "preload", "requires")) and "local" in layers:
                self.note(path, layers["local"])

    def note_changes(self, before: Leaves, after: Leaves, layer: str) -> None:
        """`layer` set whatever differs between two snapshots, and what it took away has no origin any more."""
        for path, value in after.items():
            if path not in before or before[path] != value:
                self.note(path, layer)
        for path in before.keys() - after.keys():
            self.by_path.pop(path, None)


def program_leaves(program: Program) -> Leaves:
    """A program as path -> value: one per field, and one per environment variable."""
    leaves: Leaves = {}
    for name, value in ((each.name, getattr(program, each.name)) for each in fields(program)):
        if name == "env":
            leaves.update({f"env.{entry['name']}": entry for entry in value})
        elif value not in ("", [], {}, None):
            leaves[name] = value
    return leaves


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of plain data with its path; items of lists go by their name where they have one."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            label = item.get("name", index) if isinstance(item, Mapping) else index
            yield from leaves(item, f"{path}[{label}]")
    else:
        yield path, value


def object_leaves(objects: list[dict[str, Any]]) -> Leaves:
    """Objects as `<Kind>.<path>` -> value."""
    return {f"{obj.get('kind', '?')}.{path}": value for obj in objects for path, value in leaves(obj)}
