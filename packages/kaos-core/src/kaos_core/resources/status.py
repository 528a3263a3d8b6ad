"""The status of each kind, for the CRDs and for people: `kaos_core.status` makes it, these models describe it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from kaos_core.resources.base import Model

Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
_OPEN: dict[str, Any] = {"items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
_BY_TYPE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class _Status(Model):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", use_attribute_docstrings=True)


class Condition(_Status):
    """One condition."""

    type: str
    """Its name: Accepted, ResolvedRefs, Programmed, Ready or ToolsDiscovered."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, as one word from a closed list."""
    message: str = ""
    """Why, for people, and what to do next."""
    observed_generation: Int64 | None = None
    """The generation of the spec it is about."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Since when it has this status."""


class DeploymentStatus(_Status):
    """The Deployment's own numbers."""

    replicas: Int32 = 0
    """Pods that have not ended."""
    ready_replicas: Int32 = 0
    """Pods that are ready."""
    available_replicas: Int32 = 0
    """Pods that have been ready for a while."""
    updated_replicas: Int32 = 0
    """Pods of the latest template."""
    conditions: Annotated[list[dict[str, Any]], Field(json_schema_extra=_OPEN)] = []
    """The Deployment's conditions: Available, Progressing, ReplicaFailure."""


class WorkloadStatus(_Status):
    """What every kind says about itself."""

    phase: Literal["Pending", "Ready", "Failed"] | None = None
    """The short word."""
    ready: bool | None = None
    """Whether it serves."""
    endpoint: str | None = None
    """URL inside the cluster, without a path."""
    message: str | None = None
    """Why it does not serve; empty when it does."""
    state: Literal["Creating", "Running", "Scaling", "Failed", "ValidationFailed", "Terminating"] | None = None
    """The finer word."""
    replicas: Int32 | None = None
    """Pods that have not ended."""
    ready_replicas: Int32 | None = None
    """Pods that are ready."""
    service_endpoint: str | None = None
    """URL inside the cluster, with its path."""
    deployment: DeploymentStatus | None = None
    """The Deployment's own numbers."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=_BY_TYPE)] | None = None
    """The conditions."""
    observed_generation: Int64 | None = None
    """The generation of the spec that all of this is about."""


class ServerInfo(_Status):
    """Who the server says it is."""

    name: str | None = None
    """Its name."""
    version: str | None = None
    """Its version."""


class ValidationStatus(_Status):
    """What the MCP handshake found."""

    state: Literal["Compliant", "NonCompliant", "AuthRequired"] | None = None
    """The outcome."""
    compliant: bool | None = None
    """The handshake and tools/list were well-formed."""
    protocol_version: str | None = None
    """Protocol version, as the server says it."""
    transport_used: str | None = None
    """What answered: streamable-http or sse."""
    requires_auth: bool | None = None
    """It asks for credentials."""
    capabilities: list[str] | None = None
    """Of tools, resources, prompts."""


class MCPServerStatus(WorkloadStatus):
    """The status of an MCPServer."""

    available_tools: list[str] | None = None
    """Names of its tools."""
    server_info: ServerInfo | None = None
    """Who the server says it is."""
    validation: ValidationStatus | None = None
    """What the MCP handshake found."""


class AgentStatus(WorkloadStatus):
    """The status of an Agent."""

    model: str | None = None
    """The model it asks for: `spec.model`, or the ModelAPI's first."""


class ModelAPIStatus(WorkloadStatus):
    """The status of a ModelAPI."""

    mode: Literal["Proxy", "Hosted"] | None = None
    """What it is, however the spec spells it."""
    models: list[str] | None = None
    """The models it offers, wildcards as they are."""
