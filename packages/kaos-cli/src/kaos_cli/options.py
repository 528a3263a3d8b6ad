"""The options that several commands share, so that each reads and behaves the same everywhere."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from kaos_cli.completion import servers
from kaos_cli.output import Format

Local = Annotated[bool, typer.Option("--local", help="Use this machine instead of a cluster (also KAOS_TARGET=local).")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Namespace.")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the resource.", show_default=False, autocompletion=servers)
]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE|DIR|-", help="YAML file, folder of them, or - for stdin."),
]


class Duration(float):
    """Seconds that the help shows as they are typed."""

    def __str__(self) -> str:
        return f"{self:g}s"


HALF_A_MINUTE, ONE_MINUTE, TWO_MINUTES = Duration(30), Duration(60), Duration(120)


def seconds(text: str | float) -> float:
    """A duration as kubectl and Go write it (`90s`, `2m`, `1m30s`, `1h`), or a number of seconds."""
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or parts is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 60s, 2m or 1m30s")
    hours, minutes, rest = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + rest


Timeout = Annotated[
    float, typer.Option("--timeout", parser=seconds, metavar="DURATION", help="How long to wait, as in 60s or 2m.")
]
