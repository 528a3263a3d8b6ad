"""The arguments of a call: as the payload that goes to the worker, and in a few words when they are wrong."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from kaos_runtime_rawpython.source import one_line

MAX_ARGUMENTS = 64 << 20
"""Bytes of one call; HTTP's own limit (4 MiB) is lower."""
_SHOWN_ERRORS, _SHOWN_CHARACTERS = 5, 40


class ArgumentsError(Exception):
    """Arguments that no tool is given; the text is for the caller."""


def call_payload(tool: str, arguments: dict[str, Any]) -> bytes:
    """A call as JSON.

    Raises:
        ArgumentsError: NaN, an infinity (also a number that a float cannot hold, such as 1e999), which the parsers
            before us take and JSON does not have (RFC 8259, section 6); half a surrogate pair; more than 64 MiB.
    """
    try:
        payload = to_json({"tool": tool, "arguments": arguments})
    except ValueError as error:
        raise ArgumentsError(_invalid(tool, [one_line(str(error), 160)])) from None
    if len(payload) > MAX_ARGUMENTS:
        raise ArgumentsError(f"The arguments have {len(payload):,} bytes; the limit is {MAX_ARGUMENTS:,}")
    # They may stand in a text as well: only then is it worth asking each argument.
    if b"NaN" in payload or b"Infinity" in payload:
        endless = [name for name, value in arguments.items() if to_json(value) != to_json(value, inf_nan_mode="null")]
        if endless:
            raise ArgumentsError(_invalid(tool, [f"{_place(name)}: a JSON number is finite" for name in endless]))
    return payload


def what_is_invalid(tool: str, error: ValidationError) -> str:
    """FastMCP's text repeats input and keys; this one names the places, shortly."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return _invalid(
        tool, [f"{_place('.'.join(map(str, item['loc'])))}: {one_line(item['msg'], 160)}" for item in errors]
    )


def _place(name: str) -> str:
    return one_line(name, _SHOWN_CHARACTERS)


def _invalid(tool: str, problems: list[str]) -> str:
    shown = problems[:_SHOWN_ERRORS]
    if len(problems) > _SHOWN_ERRORS:
        shown.append(f"and {len(problems) - _SHOWN_ERRORS} more")
    return f"Invalid arguments for tool {tool!r}: " + "; ".join(shown)
