"""Several virtual environments share one store: each server keeps the Python that applied it."""

import json
import os
import signal
import sys

import psutil
import pytest


@pytest.fixture
def other(tmp_path):
    """Another Python: whatever it runs can be told by a variable."""
    path = tmp_path / "other-python"
    path.write_text(f'#!/bin/sh\nVIA=other exec "{sys.executable}" "$@"\n')
    path.chmod(0o700)
    return str(path)


def up_with(python, local, monkeypatch, document):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", python)
        (resource,) = local.up(document)
    return resource


def test_a_server_keeps_the_python_that_applied_it_when_another_one_takes_the_store_over(local, monkeypatch, other):
    one = up_with(other, local, monkeypatch, local.plain("one"))
    before = local.ask(one)
    (two,) = local.up(local.plain("two"))

    assert (before["env"].get("VIA"), local.ask(two)["env"].get("VIA")) == ("other", None)
    assert local.ask(one)["pid"] == before["pid"]
    os.kill(before["pid"], signal.SIGKILL)
    local.until(lambda: local.ask(one)["pid"] != before["pid"])
    assert local.ask(one)["env"].get("VIA") == "other"


def test_applying_with_another_python_restarts_the_server_with_it(local, monkeypatch, other):
    local.up(local.plain("one"))
    resource = up_with(other, local, monkeypatch, local.plain("one"))

    assert local.ask(resource)["env"].get("VIA") == "other"


def test_each_python_has_a_fork_parent_of_its_own(local, monkeypatch, other):
    up_with(other, local, monkeypatch, local.server("one", params=local.ADD))
    local.up(local.server("two", params=local.ADD))
    before = local.running(local.ref("one"))["pid"]
    os.kill(before, signal.SIGKILL)
    local.until(lambda: (local.running(local.ref("one")).get("pid") or before) != before)

    def via(name):
        parent = psutil.Process(local.running(local.ref(name))["pid"]).parent()
        return parent.environ().get("VIA")

    assert (via("one"), via("two")) == ("other", None)


def test_a_runtime_that_only_the_appliers_python_knows_is_told_with_that_python(local):
    local.up(local.plain("one"))
    folder = local.store.folder(local.ref("one"))
    source = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps({**source, "python": "/elsewhere/bin/python"}))
    text = (folder / "resource.yaml").read_text()
    (folder / "resource.yaml").write_text(text.replace("runtime: rawpython", "runtime: theirs"))

    message = local.until(lambda: "theirs" in (m := local.status(local.ref("one"))["message"]) and m)
    assert "/elsewhere/bin/python" in message
    assert "run kaos up of that environment once" in message
