"""Target: where resources live. Every command works through this, so that none asks which one it has.

`kaos_cli.local` is this machine; the cluster comes as a second implementation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Resource = dict[str, Any]
"""A resource in its YAML form, with `status` when the target has one."""


@dataclass(frozen=True, order=True)
class Ref:
    """One resource by kind (`MCPServer`), namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As kubectl names it: `mcpserver/calc`."""
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True)
class Source:
    """A document a user gave: where it stood, so that errors and references resolve against it.

    `folder` is the folder of the file (the current one for stdin and flags).
    """

    document: Resource
    folder: Path
    origin: str


class Target(Protocol):
    """What commands may ask of a target. Every method raises `kaos_cli.errors.CommandError` subclasses only."""

    def default_namespace(self) -> str:
        """The namespace when the user names none."""

    def apply(self, sources: Sequence[Source]) -> list[tuple[Ref, Literal["created", "configured", "unchanged"]]]:
        """Write the resources; Secret and ConfigMap documents among them are used first. All or nothing."""

    def remarks(self, document: Resource) -> list[str]:
        """What in a resource counts for nothing on this target, one sentence each."""

    def list(self, kind: str | None, namespace: str | None) -> list[Resource]:
        """Every resource of a kind, sorted by kind, namespace and name; None is every kind, or every namespace."""

    def get(self, ref: Ref) -> Resource:
        """One resource. Raises NotFoundError with the names that exist."""

    def delete(self, ref: Ref) -> None:
        """Delete it and wait until it is gone. Raises NotFoundError."""

    def logs(self, ref: Ref, *, follow: bool, tail: int | None, previous: bool) -> Iterator[str]:
        """Lines without their newline."""

    def wait(self, refs: Sequence[Ref], timeout: float) -> Iterator[Resource]:
        """Yield each resource once, as it becomes Ready or Failed; the rest as they are when the seconds are over."""

    def mcp_url(self, ref: Ref) -> str:
        """The URL an MCP client on this machine can use now. Raises NotFoundError, or NotReadyError with the reason."""

    def headers(self, ref: Ref) -> Mapping[str, str]:
        """What a client has to send with it, its token for example."""
