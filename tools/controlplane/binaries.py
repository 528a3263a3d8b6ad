"""Where etcd, kube-apiserver and kubectl are: given, on PATH, or built once from `go.mod` beside this file.

First stage: `find` -> `Binaries`. What is built goes to `<user cache>/kaos/controlplane/<hash of go.sum>/`, with the
Gateway API's CRDs beside it, which no release of these programs holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controlplane import gobuild

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
OLDEST = 30
"""Of the minor versions that fit: everything here is stable since then."""
MODULE = Path(__file__).parent
Say = Callable[[str], object]


class BinariesError(Exception):
    """There is no way to the programs; the message has all that was tried."""


@dataclass(frozen=True)
class Binaries:
    """Paths of the programs, and the folder of the Gateway API's standard CRDs."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    gateway_crds: Path

    @classmethod
    def of(cls, programs: Mapping[str, Path], gateway_crds: Path) -> Binaries:
        """From the programs by name."""
        etcd, api, kubectl = (programs[name] for name in PROGRAMS)
        return cls(etcd, api, kubectl, gateway_crds)


def find(say: Say = print, environ: Mapping[str, str] = os.environ, module: Path = MODULE) -> Binaries:
    """`KUBEBUILDER_ASSETS`, else PATH, else built (about 6 minutes, once). `say` gets a line of progress now and then.

    Raises:
        BinariesError: none of them led to all programs.
    """
    tried: list[str] = []
    cache = cache_folder(environ) / hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:16]
    given = _given(environ, tried)
    if given and _complete(cache, ("crds",)):
        return Binaries.of(given, cache / "crds")
    wanted = ("crds",) if given else (*PROGRAMS, "crds")
    try:
        if not _complete(cache, wanted):
            with alone(cache, say):
                for name in wanted:
                    if not (cache / name).exists():
                        _make(name, cache, module, environ, say)
    except (gobuild.GoError, OSError) as error:
        tried.append(str(error))
        raise BinariesError("the API server of the tests cannot be had:\n- " + "\n- ".join(tried)) from error
    return Binaries.of(given or {name: cache / name for name in PROGRAMS}, cache / "crds")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder of this platform, and in it ours."""
    home = Path(environ.get("HOME") or Path.home())
    plain = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(environ.get("XDG_CACHE_HOME") or plain) / "kaos" / "controlplane"


def _given(environ: Mapping[str, str], tried: list[str]) -> dict[str, Path] | None:
    """The programs that are there already."""
    for where, path in (("KUBEBUILDER_ASSETS", environ.get("KUBEBUILDER_ASSETS")), ("PATH", environ.get("PATH"))):
        if not path:
            tried.append(f"{where} is not set")
            continue
        found = {name: shutil.which(name, path=path) for name in PROGRAMS}
        missing = [name for name, program in found.items() if program is None]
        if missing:
            tried.append(f"{where} has no {', '.join(missing)}")
            continue
        programs = {name: Path(program).absolute() for name, program in found.items() if program}
        unfit = _unfit(programs["kube-apiserver"])
        if not unfit:
            return programs
        tried.append(f"{where} has {unfit}")
    return None


def _unfit(program: Path) -> str:
    """What is wrong with this kube-apiserver; empty when nothing is."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a kube-apiserver that does not run: {error}"
    version = re.search(r"v1\.(\d+)", done.stdout)
    if version is None:
        return f"a kube-apiserver that does not tell its version: {(done.stderr or done.stdout).strip()[:200]}"
    return "" if int(version[1]) >= OLDEST else f"{done.stdout.strip()}, and 1.{OLDEST} is the oldest that fits"


def _complete(cache: Path, wanted: tuple[str, ...]) -> bool:
    return all((cache / name).exists() for name in wanted)


def _make(name: str, cache: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    """Make one of the entries of the cache; it appears there when it is whole."""
    go = gobuild.find_go(cache.parent, environ, say)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as folder:
        made = Path(folder) / name
        if name == "crds":
            source = gobuild.module_folder(go, module, "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
            made.mkdir()
            for path in source.glob("*.yaml"):
                shutil.copyfile(path, made / path.name)
        else:
            gobuild.build(go, module, name, made, say)
        made.rename(cache / name)


@contextmanager
def alone(cache: Path, say: Say) -> Iterator[None]:
    """Of all processes of this user only one builds; the others wait, and then find what it made."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"controlplane: another process builds into {cache}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(f"{find().kube_apiserver.parent}\n")
