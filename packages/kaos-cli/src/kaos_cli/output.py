"""What commands print: data on stdout, talk on stderr, and nothing a terminal would obey."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from unicodedata import category, east_asian_width

Format = Literal["table", "wide", "json", "yaml", "name"]

GAP = 3
"""Spaces between columns, as kubectl has them."""


def emit(text: str, *, at_once: bool = False) -> None:
    """One piece of data on stdout; `at_once` does not let a pipe hold it back."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    if at_once:
        sys.stdout.flush()


def talk(line: str) -> None:
    """One line about what goes on, on stderr."""
    sys.stderr.write(plain(line) + "\n")
    sys.stderr.flush()


def warn(message: str) -> None:
    """One warning, on stderr."""
    talk(f"warning: {message}")


def plain(text: str) -> str:
    """The text without escape sequences and control characters; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    import re

    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])", "", text)
    return "".join(
        char for char in text if char in "\n\t" or category(char) not in ("Cc", "Cf", "Cs") or char == "\u200d"
    )


def cell(value: object) -> str:
    """A value as one line of a table: never empty lines, never control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ",".join(f'"{cell(item)}"' for item in value) + "]"
    return " ".join(plain(str(value)).split())


def width(text: str) -> int:
    """How many columns a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if category(char) in ("Mn", "Me", "Cf") else 2 if east_asian_width(char) in "WF" else 1 for char in text
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]], at_least: Sequence[int] = ()) -> str:
    """Aligned plain text, never cut. `at_least` are the smallest widths of the first columns."""
    lines = [list(header)] if header else []
    lines += [[cell(value) for value in row] for row in rows]
    widths = [max(width(text) for text in column) for column in zip(*lines, strict=True)]
    widths = [max(found, least) for found, least in zip(widths, [*at_least, *[0] * len(widths)], strict=False)]
    padded = (
        "".join(text + " " * (size + GAP - width(text)) for text, size in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def json_text(value: object) -> str:
    """JSON for people and programs: indented, characters as they are."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def yaml_text(value: object, *, sort_keys: bool = False) -> str:
    """YAML that `kaos_core.documents` and kubectl read back as the same value; texts of several lines stay readable."""
    import re

    import yaml

    number = re.compile(r"[-+]?\.?[0-9]")

    class Dumper(yaml.SafeDumper):
        """Without aliases, and with every text quoted that some YAML reader takes for a number."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else '"' if number.match(data) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, text)
    dumped: str = yaml.dump(value, Dumper=Dumper, sort_keys=sort_keys, allow_unicode=True, width=2**20)
    return dumped


def show(value: object, form: str) -> None:
    """Print a value as `json` or `yaml`."""
    emit(json_text(value) if form == "json" else yaml_text(value))


def age(created: str, now: float | None = None) -> str:
    """How long ago an RFC 3339 time was, as kubectl writes it: `41s`, `5m12s`, `2d4h`; empty when there is none."""
    import time
    from datetime import datetime

    try:
        began = datetime.fromisoformat(created).timestamp()
    except (TypeError, ValueError):
        return ""
    seconds = max(0, int((time.time() if now is None else now) - began))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    # The steps of k8s.io/apimachinery duration.HumanDuration.
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def name_of(resource: Mapping[str, Any]) -> str:
    """A resource as `-o name` prints it: `mcpserver.kaos.tools/calc`."""
    group = str(resource.get("apiVersion", "")).partition("/")[0]
    return f"{str(resource['kind']).lower()}.{group}/{resource['metadata']['name']}"
