"""The fields that every kind with a workload shares, so that what is learnt on one holds on all."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from kaos_core.resources import patterns
from kaos_core.resources.base import Model, Name, cel
from kaos_core.resources.container import ContainerOverride

Duration = Annotated[str, Field(min_length=2, max_length=23, pattern=patterns.DURATION)]
"""A Gateway API duration: `30s`, `1m30s`."""
Uid = Annotated[int, Field(ge=0, le=2147483647, json_schema_extra={"format": "int64"})]
Port = Annotated[int, Field(ge=1, le=65535, json_schema_extra={"format": "int32"})]
UrlPath = Annotated[str, Field(max_length=1024, pattern=r"^/[-._~!$&'()*+,;=:@%/a-zA-Z0-9]*$")]

_VOLUME_NAME: dict[str, Any] = {
    "type": "string",
    "maxLength": 63,
    "pattern": patterns.VOLUME_NAME,
    "description": "Name of the volume.",
}
_VOLUMES: dict[str, Any] = {
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": _VOLUME_NAME},
        "x-kubernetes-preserve-unknown-fields": True,
    },
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
_LINK_LOCAL = "link-local addresses are not allowed"
_LINK_LOCAL_STARTS = ("//169.254.", "//[fe80:")


class GatewayRoute(Model):
    """How the gateway reaches it."""

    timeout: Duration | None = None
    """Request timeout of the HTTPRoute. `0s` leaves it to the gateway. Default: 30s for an MCPServer, 120s else."""


class Telemetry(Model):
    """OpenTelemetry."""

    enabled: bool = False
    """Send traces."""
    endpoint: (
        Annotated[
            str,
            Field(
                max_length=1024,
                pattern=patterns.ENDPOINT,
                json_schema_extra=cel(
                    (f"{[*_LINK_LOCAL_STARTS]}.all(start, !self.lowerAscii().contains(start))", _LINK_LOCAL)
                ),
            ),
        ]
        | None
    ) = None
    """OTLP endpoint, for example `http://otel-collector:4318`. Default: the operator's own setting."""

    @field_validator("endpoint")
    @classmethod
    def _not_link_local(cls, value: str | None) -> str | None:
        if value and any(start in value.lower() for start in _LINK_LOCAL_STARTS):
            raise ValueError(_LINK_LOCAL)
        return value


class Security(Model):
    """The security context. What is left out keeps the restricted defaults (S3.19–S3.21)."""

    run_as_user: Uid | None = None
    """uid of the process. Default: what the runtime's image needs, else 1000."""
    run_as_group: Uid | None = None
    """gid of the process."""
    run_as_non_root: bool | None = None
    """Refuse to start as root. Default: true."""
    fs_group: Uid | None = None
    """Group that owns mounted volumes."""
    read_only_root_filesystem: bool | None = None
    """Mount the root filesystem read-only; /tmp stays writable. Default: true for the images of KAOS."""


class Service(Model):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""
    session_affinity: Literal["None", "ClientIP"] | None = None
    """Send a client always to the same pod."""
    annotations: Annotated[dict[str, str], Field(max_length=64)] | None = None
    """Annotations of the Service, for a load balancer for example."""


class HealthCheck(Model):
    """The probes. Default: the runtime's own paths, else a TCP connect."""

    enabled: bool = True
    """Probe it at all."""
    path: UrlPath | None = None
    """HTTP path that answers 200 when it is well."""
    port: Port | None = None
    """Port of the probes. Default: the server's own."""


class ImagePullSecret(Model):
    """A Secret with registry credentials."""

    name: Name
    """Name of the Secret."""


class WorkloadSpec(Model):
    """What every kind can say about its pods."""

    replicas: Annotated[int, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] | None = None
    """How many pods. Left out, it is nobody's business but an autoscaler's or `kubectl scale`'s; 0 stops it."""
    container: ContainerOverride | None = None
    """Overrides of the main container."""
    pod_spec: (
        Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})] | None
    ) = None
    """Strategic merge patch on the generated PodSpec; containers merge by name. It has the last word on any field."""
    volumes: Annotated[list[dict[str, Any]], Field(max_length=64, json_schema_extra=_VOLUMES)] | None = None
    """Volumes of the pod, for `container.volumeMounts`."""
    image_pull_secrets: Annotated[list[ImagePullSecret], Field(max_length=16)] | None = None
    """Secrets with registry credentials."""
    service_account_name: Name | None = None
    """ServiceAccount of the pods (make one with `kaos system create-rbac`). Its token is then mounted."""
    telemetry: Telemetry | None = None
    """OpenTelemetry."""
    gateway_route: GatewayRoute | None = None
    """How the gateway reaches it."""
    security: Security | None = None
    """Security context."""
    service: Service | None = None
    """Service in front of the pods."""
    health_check: HealthCheck | None = None
    """Probes."""

    @field_validator("volumes")
    @classmethod
    def _volumes_named_once(cls, value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        seen: set[str] = set()
        for volume in value or []:
            name = volume.get("name")
            if not isinstance(name, str) or len(name) > 63 or not re.fullmatch(patterns.VOLUME_NAME, name):
                raise ValueError("a volume needs a name: lower-case letters, digits and '-'")
            if name in seen:
                raise ValueError(f"the name {name} stands twice")
            seen.add(name)
        return value
