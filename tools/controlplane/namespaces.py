"""Namespaces of tests, made and deleted. No namespace controller runs here, so this does what it would."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from controlplane.client import Client

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_FIRST = ("agents", "mcpservers", "modelapis", "deployments", "replicasets")
"""Who makes others goes before them."""


class NamespaceError(Exception):
    """The API server refused."""


def create(client: Client, name: str = "") -> str:
    """A new namespace with its ServiceAccount `default`, as the controllers of a cluster make it; its name."""
    name = name or f"test-{secrets.token_hex(4)}"
    _ask(client, "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    _ask(client, "POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    return name


def delete(client: Client, name: str) -> None:
    """Delete everything in a namespace, and itself. Finalizers are not waited for; whoever is left is left."""
    found = sorted(_collections(client), key=lambda item: _FIRST.index(item[1]) if item[1] in _FIRST else len(_FIRST))
    for root, plural in found:
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        client.request("DELETE", f"{root}/namespaces/{name}/{plural}", options)
    client.request("DELETE", f"/api/v1/namespaces/{name}")
    status, namespace = client.request("GET", f"/api/v1/namespaces/{name}")
    if status == 200:
        namespace["spec"]["finalizers"] = []
        client.request("PUT", f"/api/v1/namespaces/{name}/finalize", namespace)


def _collections(client: Client) -> Iterator[tuple[str, str]]:
    """The root path and plural of everything namespaced that can be deleted at once."""
    for path in ("/api", "/apis"):
        _, listing = client.request("GET", path, headers={"Accept": _DISCOVERY})
        for group in listing["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"][:1]:
                root = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
                for resource in version.get("resources", []):
                    if resource["scope"] == "Namespaced" and "deletecollection" in resource["verbs"]:
                        yield root, resource["resource"]


def _ask(client: Client, method: str, path: str, body: Any) -> None:
    status, answer = client.request(method, path, body)
    if status >= 300:
        raise NamespaceError(f"{method} {path}: {answer['message'] if isinstance(answer, dict) else answer}")
