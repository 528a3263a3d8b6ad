"""Containers outlive the client that runs them: whatever ends that client, none is left or in the way."""

import os
import shutil
import signal
import sys

import pytest


@pytest.fixture
def containers(local, tmp_path, monkeypatch):
    """Have an engine; gives the process ids of its containers."""
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = folder / "docker"
    engine.write_text(f"#!{sys.executable}\n{(local.PROGRAMS / 'engine.py').read_text()}")
    engine.chmod(0o755)
    shutil.copy(local.PROGRAMS / "plain.py", folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def pids():
        return [int(path.read_text()) for path in folder.glob("*.container")]

    yield pids
    local.target.down_everything()
    assert pids() == []


def container(local):
    image = "registry.example/plain:1"
    return local.server("one", container={"image": image}, runtime="custom", validation={"enabled": False})


def test_deleting_stops_the_container(local, containers):
    (resource,) = local.up(container(local))
    (pid,) = containers()
    assert (local.ask(resource)["pid"], resource["status"]["phase"]) == (pid, "Ready")

    local.target.delete(local.ref("one"))

    assert containers() == []
    assert not local.alive(pid)


def test_a_container_that_lost_its_client_is_replaced_on_the_same_port(local, containers):
    (resource,) = local.up(container(local))
    (before,) = containers()

    os.kill(local.running(local.ref("one"))["pid"], signal.SIGKILL)

    local.until(lambda: local.ask(resource)["pid"] != before)
    assert not local.alive(before)
    assert len(containers()) == 1


def test_a_container_that_lost_its_client_while_nobody_looked_is_replaced(local, containers):
    (resource,) = local.up(container(local))
    (before,) = containers()
    local.kill_supervisor()
    os.kill(local.running(local.ref("one"))["pid"], signal.SIGKILL)

    local.target.list("MCPServer", None)

    local.until(lambda: local.ask(resource)["pid"] != before)
    assert not local.alive(before)


def test_a_container_that_lost_its_client_while_nobody_looked_is_gone_after_down(local, containers):
    local.up(container(local))
    (before,) = containers()
    local.kill_supervisor()
    os.kill(local.running(local.ref("one"))["pid"], signal.SIGKILL)

    local.target.down_everything()

    assert containers() == []
    local.until(lambda: not local.alive(before))
