"""What the fixtures start is gone when the tests are, however they ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

TOOLS = Path(__file__).parents[2] / "tools"
HOLDS_ONE = """
import sys, time
from controlplane.binaries import find
from controlplane.server import ControlPlane
with ControlPlane(find()) as plane:
    print(plane.folder, flush=True)
    time.sleep(100)
"""


def working_in(folder: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(folder in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_deleted_namespace_leaves_nothing_behind(control_plane: ControlPlane):
    from controlplane import namespaces

    name = namespaces.create(control_plane.client)
    server = {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "kept", "finalizers": []},
        "spec": {"runtime": "rawpython"},
    }
    path = f"/apis/kaos.tools/v1alpha1/namespaces/{name}/mcpservers"
    assert control_plane.request("POST", path, server)[0] == 201
    namespaces.delete(control_plane.client, name)
    assert control_plane.request("GET", f"/api/v1/namespaces/{name}")[0] == 404
    _, left = control_plane.request("GET", "/apis/kaos.tools/v1alpha1/mcpservers")
    assert [item for item in left["items"] if item["metadata"]["namespace"] == name] == []


def test_killed_tests_leave_no_process_and_no_folder(control_plane: ControlPlane):
    holder = subprocess.Popen([sys.executable, "-c", HOLDS_ONE], cwd=TOOLS, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        folder = holder.stdout.readline().strip()
        assert {Path(process.exe()).name for process in working_in(folder)} >= {"etcd", "kube-apiserver"}
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while working_in(folder) or Path(folder).exists():
        assert time.monotonic() < deadline, working_in(folder)
        time.sleep(0.05)
