"""The programs are taken from where they are; only what is nowhere is built, once, and a failure names every way."""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from controlplane.binaries import MODULE, PROGRAMS, Binaries, BinariesError, find

if TYPE_CHECKING:
    from controlplane.server import ControlPlane


@pytest.fixture
def environ(control_plane: ControlPlane, tmp_path: Path) -> dict[str, str]:
    """One in which the programs are given, with a cache of its own that has no CRDs yet."""
    assets = tmp_path / "assets"
    assets.mkdir()
    found = control_plane.binaries
    for name, path in zip(PROGRAMS, (found.etcd, found.kube_apiserver, found.kubectl), strict=True):
        (assets / name).symlink_to(path)
    return {"KUBEBUILDER_ASSETS": str(assets), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}


def cache_of(environ: dict[str, str]) -> Path:
    import hashlib

    digest = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    return Path(environ["XDG_CACHE_HOME"]) / "kaos" / "controlplane" / digest


def test_given_programs_are_used_and_nothing_is_built(environ: dict[str, str]):
    (cache_of(environ) / "crds").mkdir(parents=True)
    said: list[str] = []
    found = find(said.append, environ)
    assert found.kube_apiserver == Path(environ["KUBEBUILDER_ASSETS"]) / "kube-apiserver"
    assert said == []


def test_programs_on_path_come_next(environ: dict[str, str]):
    (cache_of(environ) / "crds").mkdir(parents=True)
    environ["PATH"] = environ.pop("KUBEBUILDER_ASSETS")
    assert find(print, environ).etcd == Path(environ["PATH"]) / "etcd"


def test_two_processes_do_not_build_at_the_same_time(environ: dict[str, str]):
    cache = cache_of(environ)
    cache.mkdir(parents=True)
    said: list[str] = []
    found: list[Binaries] = []
    other = threading.Thread(target=lambda: found.append(find(said.append, environ)))
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other.start()
        while not said:
            assert other.is_alive()
            time.sleep(0.01)
        # What the one that has the lock builds is there when it lets go.
        (cache / "crds").mkdir()
    other.join()
    assert "waiting for it" in said[0]
    assert len(said) == 1
    assert found[0].gateway_crds == cache / "crds"


def test_one_error_names_all_that_was_tried(tmp_path: Path):
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in PROGRAMS:
        (assets / name).symlink_to(shutil.which("true") or "/bin/true")
    (tmp_path / "cache").write_text("a file where a folder belongs")
    environ = {"KUBEBUILDER_ASSETS": str(assets), "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises(BinariesError) as failure:
        find(print, environ)
    told = str(failure.value)
    assert "KUBEBUILDER_ASSETS has a kube-apiserver that does not tell its version" in told
    assert "PATH has no etcd, kube-apiserver, kubectl" in told
    assert "Not a directory" in told
