"""Servers: MCPServers for the tests, from the few lines in which they differ."""

from __future__ import annotations

from typing import Any


def server(name: str, **spec: Any) -> dict[str, Any]:
    """An MCPServer; rawpython unless `runtime` says otherwise."""
    return {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": name},
        "spec": {"runtime": "rawpython", **spec},
    }


def saying(text: str) -> str:
    """Params of a server whose tool `say` answers with a text."""
    return f"def say() -> str:\n    return {text!r}\n"


def secret(name: str, **values: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def overlay(name: str, namespace: str, runtimes: str) -> dict[str, Any]:
    """A ConfigMap of the runtime registry; `runtimes` is the YAML below `runtimes:`."""
    labels = {"kaos.tools/runtime-registry": "true"}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"runtimes.yaml": runtimes}}
