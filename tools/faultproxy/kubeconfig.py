"""Kubeconfigs: where the API server is, and the same login with the proxy in its place."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Cluster:
    """An API server: its URL, and the certificate (PEM) that it is known by; None: it is not checked."""

    url: str
    ca: str | None


def read(path: Path) -> Cluster:
    """The cluster of the current context. Raises KeyError when there is none."""
    _, cluster = _current(_load(path))
    if cluster.get("insecure-skip-tls-verify"):
        return Cluster(cluster["server"], None)
    if data := cluster.get("certificate-authority-data"):
        return Cluster(cluster["server"], base64.b64decode(data).decode())
    return Cluster(cluster["server"], (path.parent / cluster["certificate-authority"]).read_text())


def write(source: Path, target: Path, cluster: Cluster, token: str | None = None) -> Path:
    """Write `source` with the current context's cluster replaced, and its token when one is given.

    Raises:
        ValueError: the user logs in by a client certificate, which no proxy can pass on.
    """
    document = deepcopy(_load(source))
    context, entry = _current(document)
    entry.clear()
    entry["server"] = cluster.url
    entry["certificate-authority-data"] = base64.b64encode((cluster.ca or "").encode()).decode()
    user = _named(document["users"], context["user"])["user"]
    if token is not None:
        user.clear()
        user["token"] = token
    if any(key.startswith("client-certificate") for key in user):
        raise ValueError(f"{source}: user {context['user']} has a client certificate; only tokens pass a proxy")
    target.touch(mode=0o600)
    target.write_text(json.dumps(document, indent=2))
    return target


def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def _current(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    context: dict[str, Any] = _named(document["contexts"], document["current-context"])["context"]
    cluster: dict[str, Any] = _named(document["clusters"], context["cluster"])["cluster"]
    return context, cluster


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)
