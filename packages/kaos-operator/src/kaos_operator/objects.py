"""Names of objects, and what their metadata says. Pure; every other module uses these words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from kaos_core.manifests.names import API_VERSION, GROUP

Object = dict[str, Any]

APPLIED_HASH = f"{GROUP}/applied-hash"
"""Annotation of a child: the hash of what was applied, so that comparing needs no read (design, "Operator")."""


class Key(NamedTuple):
    """One of our resources."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`MCPServer default/echo`, for logs and messages."""
        return f"{self.kind} {self.namespace}/{self.name}"


class ChildKey(NamedTuple):
    """One object that a resource may own."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Deployment default/mcpserver-echo`."""
        return f"{self.kind} {self.namespace}/{self.name}"


def child_key(obj: Mapping[str, Any]) -> ChildKey:
    """Of a manifest or of a live object."""
    meta = obj["metadata"]
    return ChildKey(obj["kind"], meta.get("namespace", ""), meta["name"])


def version(obj: Mapping[str, Any]) -> int:
    """The resourceVersion; versions of one resource type can be compared (KEP-5504). 0 when there is none."""
    text = obj.get("metadata", {}).get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


def owner(obj: Mapping[str, Any]) -> tuple[Key, str] | None:
    """The resource of ours that controls an object, and its uid."""
    meta = obj.get("metadata", {})
    for reference in meta.get("ownerReferences") or []:
        if reference.get("controller") and reference.get("apiVersion") == API_VERSION:
            return Key(reference["kind"], meta.get("namespace", ""), reference["name"]), reference["uid"]
    return None


def digest(value: Any) -> str:
    """A short hash of plain data, the same for every order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def stamped(obj: Object) -> Object:
    """A manifest with its own hash as an annotation; the manifest itself stays as it is."""
    meta = obj["metadata"]
    annotations = {**meta.get("annotations", {}), APPLIED_HASH: digest(obj)}
    return {**obj, "metadata": {**meta, "annotations": annotations}}


def slimmed(document: Mapping[str, Any]) -> Object:
    """A resource without what only the API server and kubectl use, which is often the larger half."""
    meta = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    if annotations := meta.get("annotations"):
        kept = {k: v for k, v in annotations.items() if k != "kubectl.kubernetes.io/last-applied-configuration"}
        meta["annotations"] = kept
    return {**document, "metadata": meta}
