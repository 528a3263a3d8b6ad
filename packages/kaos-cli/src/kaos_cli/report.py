"""From an exception to one message on stderr and an exit code: the end of every command that goes wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from typer._click.exceptions import ClickException, NoArgsIsHelpError  # typer has no public name for what it raises
from typer._click.exceptions import UsageError as ClickUsageError

from kaos_cli.errors import UsageError
from kaos_cli.output import plain
from kaos_core.errors import KaosError


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Tell the user what went wrong and return the exit code.

    `error: …` and `Hint: …` on stderr; with `-o json` one line `{"error": {"code", "message", "hint"}}` instead.
    """
    if isinstance(error, NoArgsIsHelpError):
        sys.stdout.write(error.format_message() + "\n")
        return 0
    if isinstance(error, KaosError):
        # What core refuses is what the user gave.
        code, reason = getattr(error, "exit_code", UsageError.exit_code), error.reason
        message, hint = str(error), error.hint
    elif isinstance(error, ClickUsageError):
        code, reason, message = error.exit_code, UsageError.reason, error.format_message()
        hint = f"{error.ctx.command_path} --help shows its usage" if error.ctx else ""
    elif isinstance(error, ClickException):
        code, reason, message, hint = error.exit_code, "failed", error.format_message(), ""
    else:
        code, reason, hint = 1, "internal", ""
        message = f"internal error: {type(error).__name__}: {error} (KAOS_DEBUG=1 shows the traceback)"
    if os.environ.get("KAOS_DEBUG"):
        import traceback

        traceback.print_exception(error)
    tell(reason, message, hint, as_json=wants_json(arguments))
    return code


def tell(reason: str, message: str, hint: str = "", *, as_json: bool = False) -> None:
    """Write one error to stderr."""
    message, hint = plain(message), plain(hint)
    if as_json:
        sys.stderr.write(
            json.dumps({"error": {"code": reason, "message": message, "hint": hint}}, ensure_ascii=False) + "\n"
        )
        return
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"Hint: {hint}\n")


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; it is read by eye, since it may be the very thing that is wrong."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        one in ("-ojson", "-o=json", "--output=json") or (one in ("-o", "--output") and other == "json")
        for one, other in pairs
    )
