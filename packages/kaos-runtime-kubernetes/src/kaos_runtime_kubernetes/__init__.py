"""The runtime `kubernetes`: the Kubernetes API as tools, by the image of containers/kubernetes-mcp-server (C6, C8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaos_core.plugin import Local, Problem, Runtime, hookimpl

NAME = "kubernetes"
VERSION = "0.0.67"


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """One entry. The image listens on 8080 unless told otherwise, and needs its own uid."""
    return [
        Runtime(
            name=NAME,
            type="go",
            image=f"ghcr.io/containers/kubernetes-mcp-server:v{VERSION}",
            description="Kubernetes API operations",
            args=("--port", "{port}"),
            source="containers/kubernetes-mcp-server",
            health="/healthz",
            ready="/healthz",
            run_as_user=65532,
            service_account_token=True,
            local=Local(
                command=("npx", "-y", f"kubernetes-mcp-server@{VERSION}", "--bind-address", "127.0.0.1"),
                requires="npx",
            ),
            docs_url="https://github.com/containers/kubernetes-mcp-server",
        )
    ]


@hookimpl
def kaos_validate(server: Mapping[str, Any], runtime: Runtime) -> list[Problem] | None:
    """Without a ServiceAccount of its own it starts, but every tool is forbidden: worth a warning (C8)."""
    if runtime.name != NAME or "serviceAccountName" in server["spec"]:
        return None
    name = server["metadata"]["name"]
    message = "no ServiceAccount is named, so its tools may do nothing in the cluster"
    hint = f"kaos system create-rbac --name {name} makes mcpserver-{name}; name it in spec.serviceAccountName"
    return [Problem("ServiceAccountMissing", message, "spec.serviceAccountName", "warning", hint)]
