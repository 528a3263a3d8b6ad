"""Command: a subcommand of `kaos` by the name of what it imports, so that a listing imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """One subcommand: its name, one line of help, and where its app is.

    `target` is `"module:attribute"` of a `typer.Typer`; it is imported when the command runs.
    """

    name: str
    help: str
    target: str

    def load(self) -> Any:
        """Import the app. Raises ImportError or AttributeError when `target` names nothing."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)
