"""helm is taken from where it is; what is too old, or does not run, is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from helm.binary import MODULE, HelmError, find


def program(folder: Path, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    made = folder / "helm"
    made.write_text(f"#!/bin/sh\necho {says}\n")
    made.chmod(0o755)
    return made


def cache_of(home: Path) -> Path:
    digest = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    return home / "cache" / "kaos" / "helm" / digest


def environ(home: Path, path: Path) -> dict[str, str]:
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": str(path)}


def test_one_on_path_is_used(tmp_path: Path):
    there = program(tmp_path / "bin", "v4.1.0")
    assert find(print, environ(tmp_path, there.parent)) == there
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("says", ["v3.19.2", "no version at all"])
def test_what_was_built_is_used_where_that_on_path_does_not_fit(tmp_path: Path, says: str):
    on_path = program(tmp_path / "bin", says)
    cache = cache_of(tmp_path)
    cache.mkdir(parents=True)
    built = program(cache, "v4.3.1")
    assert find(print, environ(tmp_path, on_path.parent)) == built


def test_one_error_names_all_that_was_tried(tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder belongs")
    on_path = program(tmp_path / "bin", "v3.19.2")
    with pytest.raises(HelmError) as failure:
        find(print, environ(tmp_path, on_path.parent))
    assert "is v3.19.2, and 4.0 is the oldest that fits" in str(failure.value)
    assert "cache" in str(failure.value)


def test_the_one_of_the_tests_tells_the_pinned_version(helm):
    import re

    pinned = re.search(r"helm\.sh/helm/v4 (v\S+)", (MODULE / "go.mod").read_text())
    said = helm("version", "--template", "{{.Version}}").stdout
    assert re.match(r"v4\.\d+\.\d+", said)
    if helm.program.parent.parent.name == "helm":
        assert pinned
        assert said == pinned[1]
