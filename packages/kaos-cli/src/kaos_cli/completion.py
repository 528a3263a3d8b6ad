"""What a completing shell may offer beside commands and options: servers on this machine, and their tools.

Read from the store as it stands: nothing is started, asked or written, and what goes wrong offers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from kaos_cli.target import Ref
from kaos_cli.targets import DEFAULT_NAMESPACE, is_local

if TYPE_CHECKING:
    from kaos_cli.local.store import Store


def servers(context: typer.Context, incomplete: str) -> list[str]:
    """Names of MCP servers in the namespace of the command line."""
    with suppress(Exception):
        return [ref.name for ref in _refs(context) if ref.kind == "MCPServer" and ref.name.startswith(incomplete)]
    return []


def served(context: typer.Context, incomplete: str) -> list[str]:
    """Names of everything on this machine, for the commands that are only about it; and files."""
    with suppress(Exception):
        context.params["local"] = True
        names = [ref.name for ref in _refs(context) if ref.name.startswith(incomplete)]
        return names + [path for path in _files(incomplete) if path not in names]
    return []


def tools(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the tools of the server on the command line, until one is there."""
    with suppress(Exception):
        name, words = context.params.get("name"), context.params.get("words")
        if name and not words and is_local(bool(context.params.get("local"))):
            status = _store().read_json(Ref("MCPServer", _namespace(context), name), "status.json")
            return [tool for tool in status.get("availableTools") or [] if tool.startswith(incomplete)]
    return []


def _refs(context: typer.Context) -> list[Ref]:
    if not is_local(bool(context.params.get("local"))):
        return []
    return [ref for ref in _store().refs() if ref.namespace == _namespace(context)]


def _namespace(context: typer.Context) -> str:
    return context.params.get("namespace") or DEFAULT_NAMESPACE


def _store() -> Store:
    from kaos_cli.local.store import Store

    return Store.default()


def _files(incomplete: str) -> Iterator[str]:
    from pathlib import Path

    above, slash, stem = incomplete.rpartition("/")
    for entry in sorted(Path(above + slash or ".").iterdir()):
        if entry.name.startswith(stem) and (stem or not entry.name.startswith(".")):
            shown = f"{above}{slash}{entry.name}"
            if entry.is_dir():
                yield f"{shown}/"
            elif entry.suffix in (".yaml", ".yml"):
                yield shown
