"""Make: every folder of `images/` -> an image under the name that the plugins and the chart know it by."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from images import wheels
from images.builder import Builder
from kaos_core.settings import image

FOLDER = wheels.ROOT / "images"
NAMES = {"operator": "kaos-operator"}
"""Folders whose image is not called `kaos-mcp-<folder>`, as those of runtimes are."""
Say = Callable[[str], object]


def refs() -> dict[str, str]:
    """Folder -> image reference, of all there are."""
    folders = sorted(path.parent.name for path in FOLDER.glob("*/Containerfile"))
    return {folder: image(NAMES.get(folder, f"kaos-mcp-{folder}")) for folder in folders}


def make(builder: Builder, say: Say) -> list[str]:
    """Build them all; their references. Raises BuilderError or RuntimeError."""
    with context(wheels.packages()) as folder:
        for name, ref in refs().items():
            say(f"images: building {ref} with {builder.program.name}")
            builder.build(FOLDER / name / "Containerfile", folder, ref)
    return [*refs().values()]


@contextmanager
def context(projects: list[Path]) -> Iterator[Path]:
    """A build context for as long as it is needed: a folder `wheels` with a wheel of each project, nothing else."""
    with tempfile.TemporaryDirectory(prefix="kaos-images-") as folder:
        wheels.build(projects, Path(folder) / "wheels")
        yield Path(folder)
