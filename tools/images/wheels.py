"""Wheels: packages of the workspace -> a folder of wheels, which is all that an image is built from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def packages() -> list[Path]:
    """Every package of the workspace."""
    return sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


def build(projects: Iterable[Path], folder: Path) -> None:
    """Build a wheel of each project, with the hatchling of this very environment, so that no index is asked.

    Raises:
        RuntimeError: hatchling refused one.
    """
    for project in projects:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"hatchling could not build {project.name}: {done.stderr.strip()}")
