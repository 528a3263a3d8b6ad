"""Agent: a model with instructions and the tools of MCP servers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from kaos_core.resources import patterns
from kaos_core.resources.base import Model, Name, Resource, cel
from kaos_core.resources.workload import WorkloadSpec

ToolName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^,\s\x00]+$")]
_STRANGER = "allowedTools names a server that mcpServers does not"

Count = Annotated[int, Field(ge=1, le=1_000_000, json_schema_extra={"format": "int32"})]


class Memory(Model):
    """What the agent remembers of its sessions."""

    enabled: bool = True
    """Remember at all."""
    type: Literal["local", "redis"] = "local"
    """`local` keeps it in the process, `redis` in a Redis."""
    redis_url: Annotated[str, Field(max_length=1024, pattern=patterns.REDIS)] | None = None
    """Address of the Redis, without credentials (give those as REDIS_PASSWORD in container.env)."""
    context_limit: Count = 6
    """How many earlier messages the model is given."""
    max_sessions: Count = 1000
    """How many sessions are kept."""
    max_session_events: Count = 500
    """How many events of a session are kept."""


class AgentConfig(Model):
    """What the agent is for."""

    description: Annotated[str, Field(max_length=4096)] | None = None
    """One sentence for other agents."""
    instructions: Annotated[str, Field(max_length=65536)] | None = None
    """The system prompt."""
    reasoning_loop_max_steps: Annotated[int, Field(ge=1, le=20, json_schema_extra={"format": "int32"})] = 5
    """The most model calls in one turn."""
    memory: Memory | None = None
    """What it remembers."""


class AgentNetwork(Model):
    """Which agents reach which."""

    expose: bool = True
    """Other agents may call this one."""
    access: Annotated[list[Name], Field(max_length=64)] = []
    """Agents this one may call."""


class AgentSpec(WorkloadSpec):
    """What an Agent should be."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.allowedTools) || "
                "has(self.mcpServers) && self.allowedTools.all(name, name in self.mcpServers)",
                _STRANGER,
            )
        )
    )

    model_api: Annotated[Name, Field(alias="modelAPI")]
    """Name of the ModelAPI in the same namespace."""
    model: Annotated[str, Field(min_length=1, max_length=256, pattern=patterns.MODEL)] | None = None
    """The model. Default: the first that the ModelAPI offers."""
    mcp_servers: Annotated[list[Name], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})] = []
    """Names of the MCPServers in the same namespace whose tools it may use."""
    allowed_tools: (
        Annotated[dict[str, Annotated[list[ToolName], Field(min_length=1, max_length=256)]], Field(max_length=64)]
        | None
    ) = None
    """Per MCPServer, the only tools it may use. A server that is not named here offers all of its tools."""
    config: AgentConfig | None = None
    """What it is for."""
    agent_network: AgentNetwork | None = None
    """Which agents reach which."""
    wait_for_dependencies: bool = True
    """Start, and take changes, only while its ModelAPI and MCPServers are Ready."""

    @field_validator("mcp_servers")
    @classmethod
    def _servers_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a server stands twice")
        return value

    @model_validator(mode="after")
    def _allowed_of_its_servers(self) -> AgentSpec:
        # A misspelt name would leave the server it meant with all of its tools.
        if set(self.allowed_tools or ()) - set(self.mcp_servers):
            raise ValueError(_STRANGER)
        return self


class Agent(Resource):
    """A model with instructions and the tools of MCP servers."""

    removed: ClassVar[dict[str, str]] = {
        "spec.config.env": "use spec.container.env",
        "spec.config.telemetry": "use spec.telemetry",
        "spec.env": "use spec.container.env",
        "spec.resources": "use spec.container.resources",
    }

    spec: AgentSpec
