"""How images are built and loaded, with recording programs in place of docker, podman, buildah and kind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import loading
from images import builder, make

Tool = Callable[..., Path]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Makes a program that writes its arguments to `<name>.json` beside it, one line each time."""

    def made(name: str, *, answers: bool = True, status: int = 0) -> Path:
        program = tmp_path / name
        program.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"if sys.argv[1:] == ['info']: sys.exit({'0' if answers else repr('Cannot connect to the daemon')})\n"
            f"with open(__file__ + '.json', 'a') as file: print(json.dumps(sys.argv[1:]), file=file)\n"
            f"sys.exit({status})\n"
        )
        program.chmod(0o755)
        return program

    return made


def calls(program: Path) -> list[list[str]]:
    return [json.loads(line) for line in Path(f"{program}.json").read_text().splitlines()]


def test_a_docker_client_without_its_daemon_is_passed_over(tool: Tool, tmp_path: Path):
    tool("docker", answers=False)
    podman = tool("podman")
    tool("buildah")
    assert builder.find({"PATH": str(tmp_path)}).program == podman


def test_docker_comes_before_podman_and_buildah(tool: Tool, tmp_path: Path):
    tool("buildah")
    tool("podman")
    docker = tool("docker")
    assert builder.find({"PATH": str(tmp_path)}).program == docker


def test_without_a_builder_the_error_says_what_each_said(tool: Tool, tmp_path: Path):
    tool("docker", answers=False)
    with pytest.raises(builder.BuilderError) as caught:
        builder.find({"PATH": str(tmp_path)})
    assert "docker info: Cannot connect to the daemon" in str(caught.value)
    assert "podman is not on PATH" in str(caught.value)


def test_the_variable_and_the_arguments_go_to_the_builder(tool: Tool, tmp_path: Path):
    podman = tool("podman")
    found = builder.find({"PATH": str(tmp_path), "KAOS_BUILD_ARGS": "--network host"}, ["--no-cache"])
    found.build(Path("Containerfile"), Path("context"), "example/x:1")
    assert calls(podman) == [
        ["build", "--network", "host", "--no-cache", "--file", "Containerfile", "--tag", "example/x:1", "context"]
    ]


def test_a_build_that_fails_names_the_image(tool: Tool, tmp_path: Path):
    tool("podman", status=3)
    with pytest.raises(builder.BuilderError, match="podman could not build example/x:1"):
        builder.find({"PATH": str(tmp_path)}).build(Path("Containerfile"), Path("context"), "example/x:1")


def test_images_are_called_as_the_plugins_call_them():
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry

    assert make.refs()["rawpython"] == Registry.build(Plugins.installed()).get("rawpython").runtime.image
    assert make.refs()["operator"] == "ghcr.io/kaos-tools/kaos-operator:0.1.0"


def test_all_images_stand_on_one_base_which_is_not_latest():
    files = sorted(make.FOLDER.glob("*/Containerfile"))
    bases = {re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", file.read_text(), re.MULTILINE)[0] for file in files}
    assert len(bases) == 1
    assert not bases.pop().endswith((":latest", "/python"))
    assert len(files) == len(make.refs())


def test_images_run_as_the_user_that_pods_get():
    from kaos_core.manifests.security import DEFAULT_UID

    for file in make.FOLDER.glob("*/Containerfile"):
        assert re.findall(r"^USER (\S+)$", file.read_text(), re.MULTILINE) == [f"{DEFAULT_UID}:{DEFAULT_UID}"]


def test_a_build_context_holds_the_wheels_and_nothing_else():
    (core,) = (package for package in make.wheels.packages() if package.name == "kaos-core")
    with make.context([core]) as folder:
        (wheel,) = [path for path in folder.rglob("*") if path.is_file()]
        assert wheel.relative_to(folder) == Path("wheels/kaos_tools_core-0.1.0-py3-none-any.whl")
    assert not folder.exists()


def test_one_command_loads_all_images(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loader = tool("load")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    loading.load(["example/a:1", "example/b:1"], {"KAOS_E2E_LOAD": f"{loader} --into it"})
    assert calls(loader) == [["--into", "it", "example/a:1", "example/b:1"]]


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-kaos", "kind load docker-image example/a:1 --name kaos"),
        ("k3d-my-own", "k3d image import example/a:1 --cluster my-own"),
    ],
)
def test_kind_and_k3d_are_known_by_the_name_of_the_context(context: str, command: str):
    assert loading.command(context, ["example/a:1"], {}) == command.split()


def test_another_cluster_needs_to_be_told_how():
    with pytest.raises(loading.LoadError, match="Set KAOS_E2E_LOAD"):
        loading.command("production", ["example/a:1"], {})


def test_a_load_that_fails_says_so(tool: Tool):
    loader = tool("load", status=1)
    with pytest.raises(loading.LoadError, match=r"failed \(status 1\)"):
        loading.load(["example/a:1"], {"KAOS_E2E_LOAD": str(loader)})


def test_the_command_says_in_one_line_that_there_is_no_builder(tmp_path: Path):
    tools = Path(make.__file__).parent.parent
    env = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(tools)}
    done = subprocess.run([sys.executable, "-m", "images"], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no builder answers:")
