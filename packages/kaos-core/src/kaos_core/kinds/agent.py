"""The kind Agent: how one becomes a program of the agent image, told by environment what it is and whom it can ask."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kaos_core.errors import Problem
from kaos_core.kinds import READY_COLUMNS, Column, Kind, Reference
from kaos_core.kinds.agent_env import environment
from kaos_core.kinds.modelapi import offered_models
from kaos_core.program import Program
from kaos_core.resolve import Context, Resolved, telemetry_env

if TYPE_CHECKING:
    from kaos_core.resources.agent import Agent, AgentSpec

AGENT_UID = 1000


def resolve_agent(agent: Agent, context: Context) -> Resolved:
    """The agent image with the environment that the agent server reads."""
    meta, spec = agent.metadata, agent.spec
    resolved = Resolved(run_as_user=AGENT_UID, read_only=not (spec.container and spec.container.image))
    resolved.waiting = _waiting(spec, context)
    model = _model(spec, context, resolved)
    if model:
        resolved.details["model"] = model
    program = Program(image=context.settings.agent_image, health="/health", ready="/ready", path="")
    program.set_env(environment(agent, model, _peers(spec, context, resolved), context))
    program.set_env(telemetry_env(spec, meta.name, meta.namespace, context.settings, resolved.problems))
    resolved.program = program
    return resolved


def references(document: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The ModelAPI, the MCPServers and the peers of an Agent."""
    spec = document.get("spec") or {}
    found = [
        ("ModelAPI", spec.get("modelAPI")),
        *(("MCPServer", name) for name in spec.get("mcpServers") or ()),
        *(("Agent", name) for name in (spec.get("agentNetwork") or {}).get("access") or ()),
    ]
    return tuple(dict.fromkeys((kind, name) for kind, name in found if name))


def _waiting(spec: AgentSpec, context: Context) -> list[str]:
    """What keeps the agent from starting, the ModelAPI first.

    `waitForDependencies` (default true) waits for the ModelAPI and all MCPServers to be Ready (S1.25). Nothing is made
    meanwhile, as the upstream operator has it: the plan is empty, so that an agent that already runs goes on as it is,
    and says that it waits. Peers are not waited for: two agents may name each other (B81), and an agent finds out
    about a peer when it calls it. With `replicas: 0` nothing starts, so nothing is waited for.

    Without `spec.model` the ModelAPI has to exist in any case: the model comes from it.
    """
    if context.related is None or spec.replicas == 0:
        return []
    wanted = [("ModelAPI", spec.model_api)]
    if spec.wait_for_dependencies:
        wanted += [("MCPServer", name) for name in spec.mcp_servers]
    waiting = []
    for kind, name in wanted:
        document = context.related.get(kind, name)
        if document is None:
            if spec.wait_for_dependencies or spec.model is None:
                waiting.append(f"{kind} {name} does not exist")
        elif spec.wait_for_dependencies and not (document.get("status") or {}).get("ready"):
            waiting.append(f"{kind} {name} is not ready")
    return waiting


def _model(spec: AgentSpec, context: Context, resolved: Resolved) -> str:
    """The model's name; empty when nobody knows it yet, or when there is a problem with it.

    A model that the ModelAPI does not offer is an InvalidParams: the list of reasons has no nearer one, it is the
    resource's own text that cannot work, and only an edit of it (or of the ModelAPI) helps.
    """
    document = context.related.get("ModelAPI", spec.model_api) if context.related else None
    if document is None:
        return spec.model or ""
    offered = offered_models(document)
    listed = f"[{', '.join(offered)}]"
    if spec.model is None:
        first = next((model for model in offered if "*" not in model), "")
        if not first:
            message = f'ModelAPI "{spec.model_api}" names no model to take (it offers {listed})'
            resolved.problems.append(Problem("InvalidParams", message, "spec.model", hint="give spec.model"))
        return first
    if not any(fnmatchcase(spec.model, pattern) for pattern in offered):
        message = f'model "{spec.model}" not supported by ModelAPI "{spec.model_api}" (supported: {listed})'
        hint = "name one of these, or add it to the ModelAPI"
        resolved.problems.append(Problem("InvalidParams", message, "spec.model", hint=hint))
        return ""
    return spec.model


def _peers(spec: AgentSpec, context: Context, resolved: Resolved) -> list[str]:
    """The agents it may call, less those that want no calls; one that is not there yet may still come."""
    wanted = list(dict.fromkeys(spec.agent_network.access)) if spec.agent_network else []
    peers = []
    for name in wanted:
        document = (context.related.get("Agent", name) if context.related else None) or {}
        network = (document.get("spec") or {}).get("agentNetwork") or {}
        if network.get("expose", True):
            peers.append(name)
            continue
        message = f"Agent {name} takes no calls (agentNetwork.expose is false)"
        resolved.problems.append(Problem("PeerNotExposed", message, "spec.agentNetwork.access", "warning"))
    return peers


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
        Column("Model", ".status.model"),
        *READY_COLUMNS,
        Column("Servers", ".spec.mcpServers", priority=1),
    ),
    references=references,
)
