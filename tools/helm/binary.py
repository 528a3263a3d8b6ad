"""Where helm is: on PATH, or built once into the user's cache folder (about 5 minutes on two cores).

`python -m helm.binary` (in `tools/`) prints its path. Change the pin: edit `go.mod`, `go mod tidy`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from controlplane import gobuild
from controlplane.binaries import Say, alone, cache_folder

OLDEST = (4, 0)
"""Its server-side apply is what the tests of upgrades speak of; the charts themselves render with helm 3 too."""
MODULE = Path(__file__).parent
_PATH = "helm.sh/helm/v4"


class HelmError(Exception):
    """There is no way to helm; the message has all that was tried."""


def find(say: Say = print, environ: Mapping[str, str] = os.environ, module: Path = MODULE) -> Path:
    """The program. `say` gets a line of progress now and then.

    Raises:
        HelmError: it is not on PATH, or too old there, and cannot be built.
    """
    on_path = shutil.which("helm", path=environ.get("PATH", ""))
    reason = _unfit(Path(on_path)) if on_path else "helm is not on PATH"
    if on_path and not reason:
        return Path(on_path).absolute()
    cache = cache_folder(environ).parent / "helm" / hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:16]
    helm = cache / "helm"
    try:
        if not helm.exists():
            with alone(cache, say):
                if not helm.exists():
                    _build(cache, module, environ, say)
    except (gobuild.GoError, OSError) as error:
        raise HelmError(f"helm cannot be had:\n- {reason}\n- {error}") from error
    return helm


def _build(cache: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    go = gobuild.find_go(cache_folder(environ), environ, say)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as folder:
        made = Path(folder) / "helm"
        version = gobuild.pinned(module, _PATH)
        stamp = {f"{_PATH}/internal/version.version": version}
        gobuild.build_package(go, module, f"{_PATH}/cmd/helm", made, say, stamp)
        made.rename(cache / "helm")


def _unfit(program: Path) -> str:
    """What is wrong with this helm; empty when nothing is."""
    try:
        done = subprocess.run(  # noqa: S603
            [program, "version", "--template", "{{.Version}}"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    version = re.search(r"v(\d+)\.(\d+)", done.stdout)
    if version is None:
        return f"{program} does not tell its version: {(done.stderr or done.stdout).strip()[:200]}"
    fits = (int(version[1]), int(version[2])) >= OLDEST
    return (
        "" if fits else f"{program} is {done.stdout.strip()}, and {'.'.join(map(str, OLDEST))} is the oldest that fits"
    )


if __name__ == "__main__":
    sys.stdout.write(f"{find(lambda line: sys.stderr.write(f'{line}{chr(10)}'))}\n")
