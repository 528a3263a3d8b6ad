"""`kubectl apply -f examples/…`, with the operator running: every example becomes what its page says of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kaos_core.documents import load_all

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FOLDERS = {
    folder.name: [document.value for file in sorted(folder.glob("*.yaml")) for document in load_all(file.read_text())]
    for folder in sorted(EXAMPLES.iterdir())
    if any(folder.glob("*.yaml"))
}
RESOURCES = [
    pytest.param(folder, document, id=f"{folder}/{document['metadata']['name']}")
    for folder, documents in FOLDERS.items()
    for document in documents
    if document["apiVersion"].startswith("kaos.tools/")
]
REFUSED = {"discord": "UnsupportedTransport", "fetch": "UnsupportedTransport", "echo": "UnknownRuntime"}
"""Runtimes that speak stdio, for which the adapter is still to come; and one whose plugin has to be installed."""
PLURALS = {"MCPServer": "mcpservers", "Agent": "agents", "ModelAPI": "modelapis"}
PATIENCE = 60


def runs_here(document: dict[str, Any]) -> bool:
    """Whether its program is here: rawpython's is, an image of somebody's is not."""
    spec = document["spec"]
    return spec.get("runtime") == "rawpython" and "image" not in spec.get("container", {})


def expected(document: dict[str, Any]) -> tuple[str, str, str]:
    """The condition that says that it has come as far as it can: type, status, reason."""
    if reason := REFUSED.get(document["spec"].get("runtime", "")):
        return "Accepted", "False", reason
    if document["kind"] == "Agent":
        # Its ModelAPI's image is a stranger's, so that is never Ready here.
        return "Ready", "False", "Waiting"
    if runs_here(document):
        return "Ready", "True", "Ready"
    return "Programmed", "True", "Programmed"


def secrets(documents: list[dict[str, Any]]) -> dict[str, set[str]]:
    """What the example's reader has to make: Secrets by name, with their keys, that are referred to and not in it."""
    found: dict[str, set[str]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(key := value.get("secretKeyRef"), dict):
                found.setdefault(key["name"], set()).add(key["key"])
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(documents)
    own = {document["metadata"]["name"] for document in documents if document["kind"] == "Secret"}
    return {name: keys for name, keys in found.items() if name not in own}


def namespace_of(folder: str) -> str:
    """The one that its files name, else one of its own."""
    named = {document["metadata"].get("namespace") for document in FOLDERS[folder]} - {None}
    return str(named.pop()) if named else folder


@pytest.fixture(scope="module")
def applied(cluster: Any) -> Iterator[Any]:
    """Every folder in a namespace. The node has those whose programs are here: nothing is fetched from anywhere."""
    with ExitStack() as stack:
        for folder, documents in FOLDERS.items():
            name = namespace_of(folder)
            if name != "default":
                runs = all(runs_here(one) for one in documents if one["kind"] in PLURALS)
                stack.enter_context(cluster.namespace(name, runs=runs))
            for secret, keys in secrets(documents).items():
                data = {key: base64.b64encode(b"an example").decode() for key in keys}
                made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": data}
                status, answer = cluster.plane.request("POST", f"/api/v1/namespaces/{name}/secrets", made)
                assert status == 201, answer
            done = subprocess.run(
                [cluster.kubectl, "apply", "-f", EXAMPLES / folder],
                env={**os.environ, **cluster.env(name)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert all(line.endswith(" created") for line in done.stdout.splitlines()), done.stdout
        yield cluster


@pytest.mark.parametrize(("folder", "document"), RESOURCES)
def test_an_applied_example_comes_as_far_as_it_can(applied: Any, folder: str, document: dict[str, Any]):
    plural, name = PLURALS[document["kind"]], document["metadata"]["name"]
    path = f"/apis/kaos.tools/v1alpha1/namespaces/{namespace_of(folder)}/{plural}/{name}"
    type_, status, reason = expected(document)
    deadline = time.monotonic() + PATIENCE
    while True:
        found = applied.plane.request("GET", path)[1]
        conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", [])}
        told = conditions.get(type_, {})
        if (told.get("status"), told.get("reason")) == (status, reason):
            break
        assert time.monotonic() < deadline, json.dumps(found.get("status"), indent=1)
        time.sleep(0.05)
    ready = conditions["Ready"]
    assert told["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["ready"] is (ready["status"] == "True") is runs_here(document)
    if runs_here(document):
        assert found["status"]["availableTools"]
    else:
        assert ready["reason"] in {reason, "Progressing"}
        assert ready["message"]


def test_every_example_is_of_a_kind_that_is_expected_here():
    """The rule has met each of its cases, so none of them is there for nothing."""
    met = {expected(parameter.values[1])[2] for parameter in RESOURCES}
    assert met == {"Ready", "Waiting", "Programmed", *REFUSED.values()}
