"""The programs of others that `kaos` runs: podman and docker. The only module that starts one of them."""

from __future__ import annotations

import shutil
import subprocess

_ENGINES = ("docker", "podman")
_SECONDS = 20


def container_engine() -> str:
    """The first of docker and podman that works, else empty. A docker client without its daemon does not."""
    for name in _ENGINES:
        path = shutil.which(name)
        if path is None:
            continue
        try:
            done = subprocess.run(  # noqa: S603  # a fixed program
                [path, "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return path
    return ""


def remove_container(name: str) -> None:
    """Remove a container that its engine's client may have left; it is fine when there is none."""
    for engine in _ENGINES:
        path = shutil.which(engine)
        if path is not None:
            try:
                subprocess.run(  # noqa: S603  # a fixed program
                    [path, "rm", "--force", name],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                continue
