"""A cluster with KAOS in it, from the charts: whatever KUBECONFIG points at. `nox -s e2e` prepares its images."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.kubectl import Kubectl
from e2e.release import Release, install_crds, uninstall_crds

HERE = Path(__file__).parent
SYSTEM = "kaos-e2e-system"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
KINDS = ("agents", "mcpservers", "modelapis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("e2e")
            item.add_marker("servers")


class Namespaces:
    """Those of one run; all that it made is gone in the end."""

    def __init__(self) -> None:
        self._cluster = Kubectl()
        self._made: list[str] = []

    def create(self, name: str) -> Kubectl:
        """One in which nothing but the restricted Pod Security Standard may run."""
        labels = {**RESTRICTED, "kaos.tools/e2e": "true"}
        self._made.append(name)
        self._cluster("create", "-f", "-", stdin=json.dumps(_namespace(name, labels)))
        return Kubectl(name)

    def delete(self, name: str) -> None:
        """Begin to delete one, which takes the cluster some seconds."""
        self._cluster("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def delete_all(self) -> None:
        """Delete them all; back when they are gone."""
        if self._made:
            self._cluster("delete", "namespace", *self._made, "--ignore-not-found", "--wait", "--timeout=300s")


def _namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture(scope="session")
def namespaces() -> Iterator[Namespaces]:
    made = Namespaces()
    try:
        yield made
    finally:
        made.delete_all()


@pytest.fixture(scope="session")
def release(namespaces: Namespaces) -> Iterator[Release]:
    """The chart with its default values, serving the whole cluster."""
    cluster = Kubectl()
    there = cluster.run("get", "crd", *(f"{kind}.kaos.tools" for kind in KINDS), "--ignore-not-found", "-o", "name")
    assert there.returncode == 0, f"no cluster answers: {there.stderr}"
    assert not there.stdout.strip(), f"KAOS is in this cluster already: {there.stdout}"
    namespaces.create(SYSTEM)
    release = Release("kaos-e2e", SYSTEM)
    try:
        install_crds(SYSTEM)
        release.install()
        yield release
    finally:
        release.uninstall()
        uninstall_crds(SYSTEM)
        cluster("delete", "crd", *(f"{kind}.kaos.tools" for kind in KINDS), "--ignore-not-found")


@pytest.fixture(scope="session")
def system(release: Release) -> Kubectl:
    """Kubectl in the operator's namespace."""
    return Kubectl(release.namespace)


@pytest.fixture
def kubectl(release: Release, namespaces: Namespaces) -> Iterator[Kubectl]:
    """Kubectl in a new namespace, gone after the test."""
    made = namespaces.create(f"kaos-e2e-{uuid.uuid4().hex[:8]}")
    yield made
    namespaces.delete(made.namespace)


@pytest.fixture(scope="session")
def server_image() -> str:
    """An image that every node has: that of rawpython, with a Python in it."""
    from images.make import refs

    return refs()["rawpython"]
