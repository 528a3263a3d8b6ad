"""The CRDs of a new control plane: ours from the chart, the Gateway API's from its own module."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from controlplane.client import APPLY, Client

CRDS = (Path(__file__).parents[2] / "charts" / "kaos-crds" / "templates",)
_PLURALS = {
    "CustomResourceDefinition": "customresourcedefinitions",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_PATIENCE = 30.0


class CrdError(Exception):
    """The API server refuses one, or never establishes it."""


def install(client: Client, folders: Sequence[Path]) -> None:
    """Apply every document of these folders, and wait until all CRDs are served. Raises CrdError."""
    waiting = []
    for document in _documents(folders):
        group, kind, name = document["apiVersion"], document["kind"], document["metadata"]["name"]
        path = f"/apis/{group}/{_PLURALS[kind]}/{name}"
        status, answer = client.request(
            "PATCH", f"{path}?fieldManager=controlplane&force=true", json.dumps(document), content_type=APPLY
        )
        if status not in (200, 201):
            raise CrdError(f"{kind} {name}: {answer['message'] if isinstance(answer, dict) else answer}")
        if kind == "CustomResourceDefinition":
            waiting.append(path)
    deadline = time.monotonic() + _PATIENCE
    for path in waiting:
        while not _served(client.request("GET", path)[1]):
            if time.monotonic() > deadline:
                raise CrdError(f"{path} is not established after {_PATIENCE:g} s")
            time.sleep(0.02)


def _documents(folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            yield from filter(None, yaml.load_all(path.read_text("utf-8"), loader))


def _served(crd: Any) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
