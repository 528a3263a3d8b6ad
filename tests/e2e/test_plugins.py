"""A third party's runtime: as a plugin in an image on top of ours, and as data in a ConfigMap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import tools
from e2e.kubectl import Kubectl
from e2e.prepare import third_party
from e2e.release import Release
from e2e.servers import overlay, server


@pytest.fixture
def with_plugin(release: Release) -> Iterator[None]:
    """The operator from the third party's image."""
    repository, _, tag = third_party("operator").rpartition(":")
    release.install({"image.repository": repository, "image.tag": tag})
    yield
    release.install()


def told(system: Kubectl, runtime: str) -> dict[str, Any]:
    """What the operator says of a runtime."""
    entries = json.loads(system.get("configmap/kaos-operator-info")["data"]["runtimes"])
    (entry,) = (entry for entry in entries if entry["name"] == runtime)
    return dict(entry)


def shouted(kubectl: Kubectl, name: str) -> Any:
    with tools.forwarded(kubectl, name) as url:
        return asyncio.run(tools.call(url, "shout", {"text": "land ahoy"}))


def test_a_plugin_in_an_image_on_top_of_the_operators_serves_with_its_hook(
    with_plugin: None, kubectl: Kubectl, system: Kubectl
):
    kubectl.apply(server("lookout", runtime="shout", params="Ishmael: "))
    kubectl.wait("mcp/lookout", "condition=Ready")
    assert shouted(kubectl, "lookout") == "Ishmael: LAND AHOY! (lookout)"
    assert told(system, "shout")["origin"] == "plugin kaos-runtime-shout 0.1.0"


def test_the_same_runtime_as_data_serves_without_the_hook_and_says_where_it_is_from(kubectl: Kubectl, system: Kubectl):
    kubectl.apply(server("lookout", runtime="shout", params="Ishmael: "))
    kubectl.wait_reason("mcp/lookout", "Accepted", "UnknownRuntime")
    entry = f"image: '{third_party('rawpython')}', command: [python, -m, kaos_runtime_shout.server], args: ['{{port}}']"
    text = f"runtimes:\n  shout: {{type: python, {entry}, paramsEnvVar: SHOUT_NAME, readOnlyRootFilesystem: true}}\n"
    try:
        system.apply(overlay("shout", system.namespace, text))
        kubectl.wait("mcp/lookout", "condition=Ready")
        assert shouted(kubectl, "lookout") == "Ishmael: LAND AHOY"
        assert told(system, "shout")["origin"] == f"ConfigMap {system.namespace}/shout"
    finally:
        system("delete", "configmap", "shout", "--ignore-not-found")
