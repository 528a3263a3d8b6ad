"""MCPServer: a tool server made by a runtime."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from kaos_core.resources import patterns
from kaos_core.resources.base import Model, Resource, cel
from kaos_core.resources.container import KeyRef
from kaos_core.resources.workload import Duration, Port, UrlPath, WorkloadSpec

MAX_PARAMS = 114_688
"""Characters of `spec.params`: a program cannot start with more than 128 KiB in one variable (B11)."""

_CUSTOM_NEEDS_IMAGE = "custom runtime requires container.image"
_ONE_PARAMS = "give params or paramsFrom, not both"
_ONE_SOURCE = "give exactly one of secretKeyRef, configMapKeyRef"
_ONE_VALUE = "give exactly one of value, valueFrom"
_LARGE = "put it into a ConfigMap and name that in spec.paramsFrom.configMapKeyRef"
_TOO_LONG = f"is longer than {MAX_PARAMS} characters; {_LARGE}"
# Limited by a rule, for maxLength has no words for what to do instead. The rule stands on the spec: one on the field
# itself would be answered with all of its text.
_PARAMS: dict[str, Any] = {"maxLength": 1 << 20}


class ParamsFrom(Model):
    """Params from elsewhere: exactly one of these. Only the container gets the value; the operator never reads it."""

    model_config = ConfigDict(
        json_schema_extra=cel(("has(self.secretKeyRef) != has(self.configMapKeyRef)", _ONE_SOURCE))
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""

    @model_validator(mode="after")
    def _one_source(self) -> ParamsFrom:
        if (self.secret_key_ref is None) == (self.config_map_key_ref is None):
            raise ValueError(_ONE_SOURCE)
        return self


class Transport(Model):
    """How clients talk to the server. Default: what the runtime says."""

    type: Literal["http", "stdio"] | None = None
    """`http`, or `stdio` for a program that the adapter has to wrap."""
    protocol: Literal["auto", "streamable-http", "sse"] | None = None
    """`auto` tries streamable-http, then sse."""
    port: Port | None = None
    """Port the server listens on in its container."""
    path: UrlPath | None = None
    """Path of the MCP endpoint."""
    session_management: bool | None = None
    """The server keeps sessions: clients must come back to the same pod."""
    stateless: bool | None = None
    """The server keeps no sessions: any pod may answer."""


class Validation(Model):
    """The MCP handshake that fills `status.validation`."""

    enabled: bool = True
    """Shake hands at all. Without it, Ready means that the pods are available."""
    interval: Duration | None = None
    """How often to look again."""


class Bearer(Model):
    """A bearer token from a Secret."""

    secret_key_ref: KeyRef
    """Where the token is."""


class Auth(Model):
    """Credentials that the server asks of its clients; agents send them."""

    bearer: Bearer
    """A bearer token."""


class HeaderSource(Model):
    """Where a header's value comes from."""

    secret_key_ref: KeyRef
    """A key of a Secret."""


class Header(Model):
    """A header that clients send to the server."""

    model_config = ConfigDict(json_schema_extra=cel(("has(self.value) != has(self.valueFrom)", _ONE_VALUE)))

    name: Annotated[str, Field(max_length=256, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
    """Name of the header."""
    value: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00\r\n]*$")] | None = None
    """The value itself. For anything secret use valueFrom."""
    value_from: HeaderSource | None = None
    """Where to take the value from."""

    @model_validator(mode="after")
    def _one_value(self) -> Header:
        if (self.value is None) == (self.value_from is None):
            raise ValueError(_ONE_VALUE)
        return self


class MCPServerSpec(WorkloadSpec):
    """What an MCPServer should be."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.runtime != 'custom' || (has(self.container) && has(self.container.image))", _CUSTOM_NEEDS_IMAGE),
            (f"!has(self.params) || self.params.size() <= {MAX_PARAMS}", _TOO_LONG, ".params"),
            ("!(has(self.params) && has(self.paramsFrom))", _ONE_PARAMS),
        )
    )

    runtime: Annotated[str, Field(max_length=63, pattern=patterns.RUNTIME)]
    """Name of a runtime (`kaos system runtimes` lists them), or `custom` for an image of your own."""
    params: Annotated[str, Field(max_length=MAX_PARAMS, pattern=patterns.NO_NUL, json_schema_extra=_PARAMS)] | None = (
        None
    )
    """Parameters of the runtime, as a YAML string. For `rawpython`, the code."""
    params_from: ParamsFrom | None = None
    """The same from a Secret or a ConfigMap."""
    transport: Transport | None = None
    """How clients talk to the server."""
    validation: Validation | None = None
    """The MCP handshake."""
    auth: Auth | None = None
    """Credentials that the server asks of its clients."""
    headers: Annotated[list[Header], Field(max_length=32)] | None = None
    """Headers that clients send to the server."""

    @model_validator(mode="after")
    def _complete(self) -> MCPServerSpec:
        if self.runtime == "custom" and not (self.container and self.container.image):
            raise ValueError(_CUSTOM_NEEDS_IMAGE)
        if self.params is not None and self.params_from is not None:
            raise ValueError(_ONE_PARAMS)
        return self


class MCPServer(Resource):
    """A tool server made by a runtime."""

    removed: ClassVar[dict[str, str]] = {
        "spec.type": "say spec.runtime",
        "spec.tools": "tools are discovered from the server itself",
        "spec.config": "telemetry is spec.telemetry, env is spec.container.env",
        "spec.config.env": "use spec.container.env",
        "spec.config.telemetry": "use spec.telemetry",
        "spec.config.tools": "tools are discovered from the server itself",
        "spec.config.tools.fromString": "use spec.runtime: rawpython with spec.params",
        "spec.config.tools.fromPackage": "use spec.runtime: custom with spec.container.image",
        "spec.config.tools.fromSecretKeyRef": "use spec.paramsFrom.secretKeyRef or spec.container.env",
        "spec.image": "use spec.container.image",
        "spec.command": "use spec.container.command",
        "spec.args": "use spec.container.args",
        "spec.env": "use spec.container.env",
        "spec.environment": "use spec.container.env",
        "spec.resources": "use spec.container.resources",
        "spec.transport.config": "use spec.transport.port, .path and .sessionManagement",
    }

    hints: ClassVar[dict[str, str]] = {
        "spec.params": _LARGE,
        "spec.runtime": "`kaos system runtimes` lists the runtimes",
    }

    spec: MCPServerSpec
