"""The packages are of one shape and one version, and nothing of ours can be looked up under a stranger's name."""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
PROJECTS = {path.name: tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in PACKAGES}
OURS = {project["name"] for project in PROJECTS.values()}
TAKEN = {"kaos", "kaos-core", "kaos-cli", "kaos-mcp", "kaos-memory", "kaos-agents", "kaos-ui"}
"""Names on the package index that belong to others."""


def requirements(project: dict) -> list[str]:
    extras = project.get("optional-dependencies", {}).values()
    return [*project.get("dependencies", []), *chain.from_iterable(extras)]


def test_every_package_has_the_same_version():
    from kaos_core.settings import KAOS_VERSION

    assert {project["version"] for project in PROJECTS.values()} == {KAOS_VERSION}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_has_the_shape_of_all(package: Path):
    module = package / "src" / package.name.replace("-", "_")
    assert (module / "py.typed").exists()
    assert (package / "README.md").read_text().startswith("# ")
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert list((package / "tests").rglob("test_*.py"))
    assert PROJECTS[package.name]["license"] == "Apache-2.0"
    assert PROJECTS[package.name]["requires-python"] == ">=3.11"


@pytest.mark.parametrize("name", sorted(PROJECTS))
def test_dependencies_on_our_own_packages_are_pinned_to_this_version(name: str):
    for requirement in requirements(PROJECTS[name]):
        distribution = re.split(r"[\[=<>!~; ]", requirement, maxsplit=1)[0]
        if distribution.startswith("kaos"):
            assert distribution in OURS, f"{requirement} is not ours"
            assert requirement.endswith(f"=={PROJECTS[name]['version']}")


def test_no_distribution_of_ours_bears_the_name_of_a_strangers():
    assert not OURS & TAKEN


def test_no_other_file_lists_the_packages():
    """A new package under packages/ must not need an entry in the noxfile or the hatch workspace."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert root["tool"]["hatch"]["envs"]["default"]["workspace"]["members"] == ["packages/*"]
    assert "project" not in root
    assert not re.findall(r"packages/kaos-", (ROOT / "noxfile.py").read_text())


def test_nothing_tracked_names_a_machine_or_is_large():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = listing.decode().split("\0")
    for name in filter(None, files):
        path = ROOT / name
        if path.is_symlink() or not path.exists():
            continue
        content = path.read_bytes()
        assert len(content) < 512 * 1024, name
        assert b"/work/" + b"main" not in content, name
        assert not re.search(rb"https?://(pypi|registry\.npmjs|proxy\.golang)" + rb"\.", content), name
