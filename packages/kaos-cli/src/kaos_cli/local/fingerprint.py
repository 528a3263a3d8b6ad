"""Which code a supervisor runs: a command with other plugins or another version asks it to hand over to a new one."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, entry_points, version

from kaos_core.hookspecs import GROUP


def fingerprint() -> str:
    """The interpreter, the version and what is installed in the entry-point group; equal when a supervisor may stay."""
    try:
        own = version("kaos-tools-cli")
    except PackageNotFoundError:
        own = ""
    plugins = sorted(
        {
            f"{point.name}={point.value} {point.dist.version if point.dist else ''}"
            for point in entry_points(group=GROUP)
        }
    )
    return "\n".join([sys.executable, own, *plugins])
