"""The HTTPRoute of a resource: `/{namespace}/{mcp|agent|modelapi}/{name}`, prefix stripped (S1.14, C12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaos_core.manifests import Object, names
from kaos_core.manifests.workload import metadata

if TYPE_CHECKING:
    from kaos_core.kinds import Kind
    from kaos_core.resources.base import Resource
    from kaos_core.resources.workload import WorkloadSpec
    from kaos_core.settings import Settings

NO_TIMEOUT = "0s"


def http_route(kind: Kind, resource: Resource, spec: WorkloadSpec, settings: Settings) -> Object | None:
    """The route, or None when no gateway is configured."""
    if settings.gateway is None:
        return None
    child = names.child_name(kind.role, resource.metadata.name)
    prefix = f"/{resource.metadata.namespace}/{kind.route}/{resource.metadata.name}"
    rule: Object = {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
        ],
        "backendRefs": [{"name": child, "port": names.SERVICE_PORT}],
    }
    timeout = (spec.gateway_route and spec.gateway_route.timeout) or settings.route_timeouts[kind.role]
    if timeout != NO_TIMEOUT:
        rule["timeouts"] = {"request": timeout}
    route: Object = {
        "parentRefs": [{"name": settings.gateway.name, "namespace": settings.gateway.namespace}],
        "rules": [rule],
    }
    if settings.gateway.hosts:
        route["hostnames"] = list(settings.gateway.hosts)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(kind, resource, child),
        "spec": route,
    }
