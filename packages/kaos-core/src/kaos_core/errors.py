"""The error tree: what was found wrong, where, and what to do next. Every stage of the flow raises these.

`KaosError` is what a program shows to its user as one line; `Problem` is the same thing as data, for stages that
gather everything wrong with a resource instead of stopping at the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class KaosError(Exception):
    """Base of every error a user may see.

    Attributes:
        reason: CamelCase word from the closed list in `kaos_core.conditions`, or a program's own.
        message: one sentence: what was found and what exists.
        path: the field it is about, as in `spec.container.env[0].name`; empty when it is about the whole.
        hint: what to do next; empty when the message says it already.
    """

    reason = "Error"

    def __init__(self, message: str, *, reason: str | None = None, path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        """One line for a log: `path: message`."""
        return f"{self.path}: {self.message}" if self.path else self.message


class DocumentError(KaosError):
    """A text that is not the YAML it should be. `line` counts from 1; 0 when unknown."""

    reason = "InvalidDocument"

    def __init__(self, message: str, *, line: int = 0, path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.line = line


class UnsafeDocumentError(DocumentError):
    """YAML that parses but is refused: duplicate keys, tags, alias bombs, too deep or too large."""


class ResourceError(KaosError):
    """A document that is no valid resource; `problems` lists everything wrong with it."""

    reason = "InvalidResource"

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.problems = problems


class ResolveError(KaosError):
    """A runtime that cannot be found or used; the reason says which way."""


class MergeError(KaosError):
    """A strategic merge patch that does not fit what it patches."""

    reason = "InvalidPodSpec"


class PluginError(KaosError):
    """A plugin that failed; `plugin` is its name."""

    reason = "PluginFailed"

    def __init__(self, message: str, *, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a resource.

    `reason` is from the closed list in `kaos_core.conditions`. An error stops the plan of that resource and its
    condition turns False; a warning is told to the user and stops nothing. `line` counts within the text of the field
    (code, mostly), from 1; 0 when it is about the field as a whole.
    """

    reason: str
    message: str
    path: str = ""
    severity: Literal["error", "warning"] = "error"
    hint: str = ""
    line: int = 0

    def __str__(self) -> str:
        """One line: `path: message`."""
        return f"{self.path}: {self.message}" if self.path else self.message

    @classmethod
    def of(cls, error: KaosError) -> Problem:
        """The same error, as data."""
        return cls(error.reason, error.message, error.path, "error", error.hint)
