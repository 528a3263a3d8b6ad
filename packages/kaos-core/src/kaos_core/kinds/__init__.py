"""Kind: what the core must know to serve one kind of resource. Each kind is a module here, loaded like any plugin.

A plugin module that has a `Kind` as its attribute `KIND` adds a kind; the built-in ones are entry points of this
package. Light: the models are named, and imported when the first resource is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Column:
    """A printer column; `priority` 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


Reference = tuple[str, str]
"""Another resource in the same namespace, as `(kind, name)`."""


def no_references(_document: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The references of a kind that has none."""
    return ()


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        name: `MCPServer`.
        plural: `mcpservers`.
        short_names: what kubectl also takes.
        model: `module:Class` of the resource; likewise `status_model`, which only describes.
        role: prefix of its children's names, and the label that holds its name.
        container: name of the main container.
        route: its segment in gateway URLs.
        resolve: stage 2 of the flow: `(resource, Context) -> kaos_core.resolve.Resolved`.
        columns: printer columns between NAME and AGE.
        references: a document -> the resources whose documents its plan wants in `Related`, each once. A change of
            one of them is a reason to plan this one again. Works on any document the API server may hand out.
    """

    name: str
    plural: str
    short_names: tuple[str, ...]
    model: str
    status_model: str
    role: str
    container: str
    route: str
    resolve: Callable[..., Any]
    columns: tuple[Column, ...]
    references: Callable[[Mapping[str, Any]], tuple[Reference, ...]] = no_references

    def load_model(self) -> Any:
        """The resource's model class."""
        return _load(self.model)

    def load_status_model(self) -> Any:
        """The status' model class."""
        return _load(self.status_model)


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


READY_COLUMNS = (
    Column("Phase", ".status.phase"),
    Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
    Column("URL", ".status.endpoint"),
)
"""The columns that every kind has."""
