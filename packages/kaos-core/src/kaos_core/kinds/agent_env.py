"""The environment of an Agent: its contract with the agent server (S1.26, S1.27; names as upstream has them).

Of the resources it refers to, only what is said here reaches the agent: a change of anything else in them leaves its
Deployment as it is, byte for byte (F38).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaos_core.errors import ResolveError
from kaos_core.kinds.modelapi import master_key
from kaos_core.manifests import names
from kaos_core.program import Env
from kaos_core.resolve import Context

if TYPE_CHECKING:
    from kaos_core.resources.agent import Agent, AgentSpec, Memory
    from kaos_core.runtime import Runtime


def environment(agent: Agent, model: str, peers: list[str], context: Context) -> list[Env]:
    """Every variable that the agent server reads, each once.

    Lists are `a,b`. A header's number is its place in `MCP_SERVER_<NAME>_HEADERS`, which lists the names.
    """
    spec, config = agent.spec, agent.spec.config
    entries = [
        _text("AGENT_NAME", agent.metadata.name),
        _text("AGENT_DESCRIPTION", (config and config.description) or ""),
        _text("AGENT_INSTRUCTIONS", (config and config.instructions) or ""),
        _text("MODEL_API_URL", _origin("modelapi", spec.model_api)),
        _text("MODEL_NAME", model),
        *_model_key(spec.model_api, context),
        _text("AGENTIC_LOOP_MAX_STEPS", str(config.reasoning_loop_max_steps if config else 5)),
        _text("MCP_SERVERS", ",".join(spec.mcp_servers)),
    ]
    for name, key in env_keys(spec.mcp_servers).items():
        entries += _server(name, f"MCP_SERVER_{key}", spec, context)
    entries.append(_text("PEER_AGENTS", ",".join(peers)))
    entries += [_text(f"PEER_AGENT_{key}_CARD_URL", _origin("agent", peer)) for peer, key in env_keys(peers).items()]
    entries += _memory(config.memory if config else None)
    return [entry for entry in entries if entry.get("value") != ""]


def env_keys(servers: list[str]) -> dict[str, str]:
    """Server name -> the `<NAME>` of its variables (S1.27): upper case, and a hash where two would meet (B80)."""
    plain = {server: re.sub(r"[^A-Z0-9]", "_", server.upper()) for server in servers}
    hashed = {server: f"{key}_{_digest(server)}" for server, key in plain.items()}
    shared = {key for key in plain.values() if list(plain.values()).count(key) > 1}
    # A name may also look like the hashed form of another.
    taken = {hashed[server] for server, key in plain.items() if key in shared}
    return {server: hashed[server] if key in shared or key in taken else key for server, key in plain.items()}


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def _text(name: str, value: str) -> Env:
    return {"name": name, "value": value}


def _origin(role: str, name: str) -> str:
    return f"http://{names.child_name(role, name)}:{names.SERVICE_PORT}"


def _model_key(model_api: str, context: Context) -> list[Env]:
    document = context.related.get("ModelAPI", model_api) if context.related else None
    source = master_key(model_api, document) if document else None
    return [{"name": "MODEL_API_KEY", **source}] if source else []


def _server(name: str, prefix: str, spec: AgentSpec, context: Context) -> list[Env]:
    """How to reach one MCPServer. What is not known of it yet is left out."""
    document = (context.related.get("MCPServer", name) if context.related else None) or {}
    server: Mapping[str, Any] = document.get("spec") or {}
    runtime = _runtime(server, context)
    transport = server.get("transport") or {}
    path = transport.get("path") or (runtime.path if runtime else "/mcp")
    url = _origin("mcpserver", name) + ("" if path == "/mcp" else path)
    entries = [_text(f"{prefix}_URL", url), _text(f"MCP_SERVER_{name}_URL", url)]
    if _protocol(transport, document, spec) == "sse":
        entries.append(_text(f"{prefix}_TRANSPORT", "sse"))
    token = _token(name, server, runtime)
    if token:
        entries.append({"name": f"{prefix}_TOKEN", **token})
    headers = server.get("headers") or []
    entries.append(_text(f"{prefix}_HEADERS", ",".join(header["name"] for header in headers)))
    for number, header in enumerate(headers):
        entries.append({"name": f"{prefix}_HEADERS_{number}", **(_source(header) or {"value": ""})})
    allowed = (spec.allowed_tools or {}).get(name) or []
    return [*entries, _text(f"{prefix}_TOOLS", ",".join(allowed))]


def _runtime(server: Mapping[str, Any], context: Context) -> Runtime | None:
    try:
        return context.registry.get(server.get("runtime", "")).runtime
    except ResolveError:
        return None


def _protocol(transport: Mapping[str, Any], document: Mapping[str, Any], spec: AgentSpec) -> str:
    """What the server's author says, else what answered. Without either, clients try streamable-http, then SSE.

    What answered comes and goes with the server's health, so only an agent that waits for the server is told: its
    plan is made only while the server is Ready, and does not change when that is down.
    """
    said: str = transport.get("protocol") or "auto"
    if said != "auto" or not spec.wait_for_dependencies:
        return said
    return ((document.get("status") or {}).get("validation") or {}).get("transportUsed") or ""


def _token(name: str, server: Mapping[str, Any], runtime: Runtime | None) -> Env | None:
    """The server's bearer token, as the server itself gets it (design, "Tokens and headers")."""
    variable = runtime.token_env if runtime else ""
    given = [entry for entry in (server.get("container") or {}).get("env") or [] if entry.get("name") == variable]
    if variable and given:
        return _source(given[0]) or None
    bearer = ((server.get("auth") or {}).get("bearer") or {}).get("secretKeyRef")
    if bearer:
        return {"valueFrom": {"secretKeyRef": bearer}}
    if variable:
        return names.token_source(names.child_name("mcpserver", name))
    return None


def _source(entry: Mapping[str, Any]) -> Env:
    """`value` or `valueFrom` of a variable or header, for another pod; a field of its own pod says nothing there."""
    return {
        key: entry[key]
        for key in ("value", "valueFrom")
        if entry.get(key) and not (key == "valueFrom" and "fieldRef" in entry[key])
    }


def _memory(memory: Memory | None) -> list[Env]:
    if memory is None:
        return []
    return [
        _text("MEMORY_ENABLED", str(memory.enabled).lower()),
        _text("MEMORY_TYPE", memory.type),
        _text("MEMORY_CONTEXT_LIMIT", str(memory.context_limit)),
        _text("MEMORY_MAX_SESSIONS", str(memory.max_sessions)),
        _text("MEMORY_MAX_SESSION_EVENTS", str(memory.max_session_events)),
        _text("MEMORY_REDIS_URL", memory.redis_url or ""),
    ]
