"""The kind Agent: how one becomes a program of the agent image, told by environment what it is and whom it can ask."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from kaos_core.kinds import READY_COLUMNS, Column, Kind
from kaos_core.manifests import names
from kaos_core.program import Env, Program
from kaos_core.resolve import Context, Resolved, telemetry_env

if TYPE_CHECKING:
    from kaos_core.resources.agent import Agent

AGENT_UID = 1000


def resolve_agent(agent: Agent, context: Context) -> Resolved:
    """The agent image with the environment that the agent server reads."""
    meta, spec = agent.metadata, agent.spec
    resolved = Resolved(run_as_user=AGENT_UID, read_only=not (spec.container and spec.container.image))
    program = Program(image=context.settings.agent_image, health="/health", ready="/ready", path="")
    program.set_env(_environment(agent, context))
    program.set_env(telemetry_env(spec, meta.name, meta.namespace, context.settings, resolved.problems))
    resolved.program = program
    return resolved


def env_keys(servers: list[str]) -> dict[str, str]:
    """Server name -> the `<NAME>` of its variables (S1.27): upper case, and a hash where two would meet (B80)."""
    plain = {server: re.sub(r"[^A-Z0-9]", "_", server.upper()) for server in servers}
    shared = {key for key in plain.values() if list(plain.values()).count(key) > 1}
    return {
        server: f"{key}_{hashlib.sha256(server.encode()).hexdigest()[:8].upper()}" if key in shared else key
        for server, key in plain.items()
    }


def _environment(agent: Agent, context: Context) -> list[Env]:
    meta, spec, config = agent.metadata, agent.spec, agent.spec.config
    values = {
        "AGENT_NAME": meta.name,
        "AGENT_DESCRIPTION": (config and config.description) or "",
        "AGENT_INSTRUCTIONS": (config and config.instructions) or "",
        "MODEL_API_URL": _url("modelapi", spec.model_api),
        "MODEL_NAME": spec.model or _first_model(spec.model_api, context),
        "AGENTIC_LOOP_MAX_STEPS": str(config.reasoning_loop_max_steps if config else 5),
        "MCP_SERVERS": ",".join(spec.mcp_servers),
    }
    for server, key in env_keys(spec.mcp_servers).items():
        values[f"MCP_SERVER_{key}_URL"] = _mcp_url(server, context)
        allowed = (spec.allowed_tools or {}).get(server)
        if allowed is not None:
            values[f"MCP_SERVER_{key}_TOOLS"] = ",".join(allowed)
    peers = list(spec.agent_network.access) if spec.agent_network else []
    values["PEER_AGENTS"] = ",".join(peers)
    for peer, key in env_keys(peers).items():
        values[f"PEER_AGENT_{key}_CARD_URL"] = _url("agent", peer)
    memory = config.memory if config else None
    if memory:
        values |= {
            "MEMORY_ENABLED": str(memory.enabled).lower(),
            "MEMORY_TYPE": memory.type,
            "MEMORY_CONTEXT_LIMIT": str(memory.context_limit),
            "MEMORY_MAX_SESSIONS": str(memory.max_sessions),
            "MEMORY_MAX_SESSION_EVENTS": str(memory.max_session_events),
        }
        if memory.redis_url:
            values["MEMORY_REDIS_URL"] = memory.redis_url
    return [{"name": name, "value": value} for name, value in values.items() if value]


def _url(role: str, name: str) -> str:
    return f"http://{names.child_name(role, name)}:{names.SERVICE_PORT}"


def _mcp_url(server: str, context: Context) -> str:
    """The bare origin when the path is `/mcp`, else the full URL (design, "URLs")."""
    document = context.related.get("MCPServer", server) or {}
    path = ((document.get("spec") or {}).get("transport") or {}).get("path", "/mcp")
    return _url("mcpserver", server) + ("" if path == "/mcp" else path)


def _first_model(model_api: str, context: Context) -> str:
    document = context.related.get("ModelAPI", model_api) or {}
    spec = document.get("spec") or {}
    models = (spec.get("proxyConfig") or {}).get("models") or [(spec.get("hostedConfig") or {}).get("model", "")]
    return next((model for model in models if "*" not in model), "")


KIND = Kind(
    name="Agent",
    plural="agents",
    short_names=("kag",),
    model="kaos_core.resources.agent:Agent",
    status_model="kaos_core.resources.status:AgentStatus",
    role="agent",
    container="agent",
    route="agent",
    resolve=resolve_agent,
    columns=(
        Column("ModelAPI", ".spec.modelAPI"),
        Column("Model", ".spec.model"),
        *READY_COLUMNS,
        Column("Servers", ".spec.mcpServers", priority=1),
    ),
)
