"""The help of the whole command, from an index in the user's cache: the way of `kaos --help`, which imports no typer.

The text is the one that the real group prints, kept with everything it depends on: what is installed, the files that
name the commands, the width, the switched-off plugins. An index that does not fit, or cannot be read or written, is
made anew or gone without.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def print_help() -> int:
    """Print the help on stdout and the plugins' warnings on stderr; return the exit code."""
    width = max(min(shutil.get_terminal_size().columns, 80) - 2, 50)  # as typer has it
    path = _index_path(width)
    index = _read(path)
    if index is None:
        index = _build()
        _write(path, index)
    for warning in index["warnings"]:
        sys.stderr.write(f"warning: {warning}\n")
    try:
        sys.stdout.write(index["text"] + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _index_path(width: int) -> Path:
    import platformdirs

    place = zlib.crc32(f"{sys.prefix} {sys.version}".encode())
    return platformdirs.user_cache_path("kaos", appauthor=False) / f"help-{place:08x}-{width}.json"


def _read(path: Path) -> dict[str, Any] | None:
    """The index if it is there, whole and still true."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        fits = index["installed"] == _installed() and all(_stamp(Path(name)) == stamp for name, stamp in index["files"])
        return index if fits and isinstance(index["text"], str) and isinstance(index["warnings"], list) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _build() -> dict[str, Any]:
    from kaos_cli.app import builtin, help_text
    from kaos_cli.offer import installed

    offer = installed({command.name for command in builtin()})
    return {
        "installed": _installed(),
        "files": [[name, _stamp(Path(name))] for name in _sources()],
        "text": help_text(offer),
        "warnings": list(offer.warnings),
    }


def _write(path: Path, index: dict[str, Any]) -> None:
    import tempfile

    # Without a place to write, the help is only slower.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
            json.dump(index, file)
        Path(file.name).replace(path)


def _installed() -> list[Any]:
    """What decides which plugins there are: the distributions on the path, with their times, and the switch."""
    found: list[list[Any]] = []
    for folder in map(Path, sys.path):
        with contextlib.suppress(OSError):
            infos = [entry for entry in folder.iterdir() if entry.name.endswith((".dist-info", ".egg-info"))]
            # An editable install that adds an entry point rewrites the file, not always the folder.
            found += [[str(info), _stamp(info), _stamp(info / "entry_points.txt")] for info in infos]
    return [sorted(found), os.environ.get("KAOS_DISABLED_PLUGINS", "")]


def _sources() -> Iterator[str]:
    """What names commands: our modules and their folder, and plugins' modules (editable ones change in place)."""
    from importlib.metadata import entry_points

    from kaos_core.hookspecs import GROUP

    ours = [module for module in sys.modules if module == "kaos_cli.app" or module.startswith("kaos_cli.commands")]
    yield str(Path(__file__).with_name("commands"))
    for module in (*ours, *(point.module for point in entry_points(group=GROUP))):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file:
            yield file


def _stamp(path: Path) -> int:
    """When a file last changed, in ns; 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
