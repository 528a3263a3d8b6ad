"""The last stage of the flow: a plan and what a target observed -> the whole `.status`. Pure; both targets use it.

Each condition is a chain of small checks, read from top to bottom: the first that has something to say decides.
Ready never lies, and says why not (design, "Conditions and reasons").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kaos_core import conditions as c
from kaos_core.errors import Problem
from kaos_core.observed import Handshake, Observed, Outcome
from kaos_core.plan import Plan
from kaos_core.status_limits import (
    MAX_BLOCKED,
    MAX_DETAIL,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_STATUS,
    MAX_WARNINGS,
    clipped,
    fitting,
    short,
    size,
)

INVALID_INPUT_EXIT = 78
"""Exit code of a program whose user has to change something; its last line begins with the reason."""

_PULL_FAILURES = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
PROBE_REASONS: Mapping[Outcome, str] = {
    "failed": "ProbeFailed",
    "timeout": "ProbeTimeout",
    "too-large": "ProbeTooLarge",
    "redirected": "ProbeRedirected",
    "unsupported": "ProtocolUnsupported",
}
"""What an outcome of a handshake is called when it keeps a server from being Ready."""


@dataclass(frozen=True)
class Verdict:
    """What a condition says."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""


@dataclass(frozen=True)
class _Facts:
    plan: Plan
    observed: Observed

    @property
    def generation(self) -> int:
        generation: int = self.plan.resource.metadata.generation
        return generation

    @property
    def rolled_out(self) -> bool:
        """Every replica that should be there is, of the latest template, and none of an older one is left."""
        seen = self.observed
        return min(seen.updated, seen.available) >= seen.desired and seen.replicas <= seen.desired

    @property
    def serves_mcp(self) -> bool:
        return self.plan.kind.name == "MCPServer"

    @property
    def handshake_wanted(self) -> bool:
        validation = getattr(self.plan.resource.spec, "validation", None)
        return self.serves_mcp and (validation is None or validation.enabled)


Check = Callable[[_Facts], Verdict | None]


def status(plan: Plan, observed: Observed, previous: Mapping[str, Any] | None, now: str) -> dict[str, Any]:
    """The status of a resource, complete and in a fixed order.

    `previous` is the status before, whose transition times stay where nothing changed; `now` is RFC 3339. The same
    inputs give the same status, so that a target writes only when it differs.
    """
    facts = _Facts(plan, observed)
    verdicts = _verdicts(facts)
    ready = verdicts[c.READY]
    handshake = observed.handshake
    endpoint = observed.endpoint or plan.endpoint
    made: dict[str, Any] = {
        "phase": _phase(verdicts),
        "ready": ready.status == "True",
        "endpoint": endpoint,
        "message": "" if ready.status == "True" else ready.message or ready.reason,
        "state": _state(facts, verdicts),
        "replicas": observed.replicas,
        "readyReplicas": observed.ready,
        "serviceEndpoint": endpoint + plan.path,
        "deployment": {
            "replicas": observed.replicas,
            "readyReplicas": observed.ready,
            "availableReplicas": observed.available,
            "updatedReplicas": observed.updated,
            "conditions": [short(condition) for condition in observed.deployment_conditions[:4]],
        },
    }
    if facts.serves_mcp:
        made["availableTools"] = []
    if handshake and handshake.outcome in ("ok", "auth"):
        made["validation"] = _validation(handshake)
        if handshake.server_name:
            texts = {"name": handshake.server_name, "version": handshake.server_version}
            made["serverInfo"] = {name: clipped(text, MAX_DETAIL) for name, text in texts.items()}
    made["conditions"] = _conditions(verdicts, facts.generation, previous, now)
    made["observedGeneration"] = facts.generation
    for name, value in plan.details.items():
        room = MAX_STATUS - size(made)
        made[name] = clipped(value, MAX_MESSAGE) if isinstance(value, str) else fitting(value, room)
    if facts.serves_mcp and handshake and handshake.tools:
        made["availableTools"] = fitting(handshake.tools, MAX_STATUS - size(made))
    return made


def _verdicts(facts: _Facts) -> dict[str, Verdict]:
    verdicts = {c.ACCEPTED: _first(facts, _not_accepted) or Verdict("True", "Accepted", _warnings(facts))}
    verdicts[c.RESOLVED_REFS] = (
        _after(verdicts[c.ACCEPTED]) or _first(facts, _references_missing) or Verdict("True", "Resolved")
    )
    blocked = _after(verdicts[c.ACCEPTED]) or _after(verdicts[c.RESOLVED_REFS])
    checks = (_not_applied, _not_applied_while_waiting, _not_yet_applied)
    verdicts[c.PROGRAMMED] = blocked or _first(facts, *checks) or Verdict("True", "Programmed")
    above = [verdicts[name] for name in (c.ACCEPTED, c.RESOLVED_REFS, c.PROGRAMMED) if verdicts[name].status == "False"]
    verdicts[c.READY] = Verdict("False", above[0].reason, above[0].message) if above else _ready(facts)
    if facts.serves_mcp:
        verdicts[c.TOOLS_DISCOVERED] = _tools(facts, verdicts[c.READY])
    return verdicts


def _first(facts: _Facts, *checks: Check) -> Verdict | None:
    return next((verdict for check in checks if (verdict := check(facts))), None)


def _after(before: Verdict) -> Verdict | None:
    """What cannot be known because a condition before it is not True."""
    if before.status == "True":
        return None
    return Verdict("Unknown", before.reason, clipped(before.message, MAX_BLOCKED))


def _not_accepted(facts: _Facts) -> Verdict | None:
    """Whatever stops the plan, except what it refers to: a plugin may give any reason."""
    return _worst([problem for problem in facts.plan.errors if _condition(problem) != c.RESOLVED_REFS])


def _warnings(facts: _Facts) -> str:
    """What is accepted and will still not do all that the spec says, one after the other."""
    told = [_sentence(problem) for problem in facts.plan.problems if problem.severity == "warning"]
    return clipped("; ".join(f"warning: {text}" for text in told), MAX_WARNINGS) if told else ""


def _references_missing(facts: _Facts) -> Verdict | None:
    planned = [problem for problem in facts.plan.errors if _condition(problem) == c.RESOLVED_REFS]
    return _worst([*planned, *facts.observed.references])


def _not_applied(facts: _Facts) -> Verdict | None:
    problem = facts.observed.programmed
    return _worst([problem]) if problem and _condition(problem) != c.READY else None


def _not_applied_while_waiting(facts: _Facts) -> Verdict | None:
    if not facts.plan.waiting or facts.observed.generation == facts.generation:
        return None
    return Verdict("Unknown", "Waiting", clipped("; ".join(facts.plan.waiting), MAX_BLOCKED))


def _not_yet_applied(facts: _Facts) -> Verdict | None:
    applied, problem = facts.observed.generation, facts.observed.programmed
    if problem and problem.reason == "Progressing":
        # Something is in the way that goes by itself; until then nothing is programmed.
        return Verdict("Unknown", "Progressing", clipped(str(problem), MAX_BLOCKED))
    if applied == facts.generation or (facts.observed.programmed and _condition(facts.observed.programmed) == c.READY):
        return None
    return Verdict("Unknown", "Progressing", f"generation {facts.generation} is being applied")


def _worst(problems: list[Problem]) -> Verdict | None:
    """The first problem; the others are counted, so that none is hidden."""
    if not problems:
        return None
    first, others = problems[0], problems[1:]
    more = f" (and {len(others)} more: {'; '.join(str(problem) for problem in others)})" if others else ""
    if _condition(first) is None:
        return Verdict("False", "PluginFailed", clipped(f"{first.reason}: {_sentence(first)}{more}"))
    return Verdict("False", first.reason, clipped(f"{_sentence(first)}{more}"))


def _condition(problem: Problem) -> str | None:
    """The condition of its reason; None for a plugin's own word, which is not in the closed list."""
    try:
        return c.condition_of(problem.reason)
    except KeyError:
        return None


def _sentence(problem: Problem) -> str:
    if not problem.hint:
        return str(problem)
    end = "" if problem.hint.endswith(("?", ".")) else "."
    return f"{problem}. {problem.hint[0].upper()}{problem.hint[1:]}{end}"


def _ready(facts: _Facts) -> Verdict:
    """The chain of Ready: each line may end it."""
    decided = _first(
        facts,
        _deleting,
        _waiting,
        _scaled_to_zero,
        _cannot_run_here,
        _image_missing,
        _program_ended,
        _rollout_failed,
        _old_generation,
        _not_available,
        _no_handshake_wanted,
        _no_handshake_yet,
        _handshake_failed,
    )
    return decided or Verdict("True", "Ready", _tools_text(facts.observed.handshake))


def _deleting(facts: _Facts) -> Verdict | None:
    return Verdict("False", "Progressing", "is being deleted") if facts.observed.deleting else None


def _waiting(facts: _Facts) -> Verdict | None:
    """Something it depends on is not Ready: what runs of it meanwhile, if anything, is not all that it should be."""
    waiting = facts.plan.waiting
    return Verdict("False", "Waiting", clipped("; ".join(waiting))) if waiting else None


def _scaled_to_zero(facts: _Facts) -> Verdict | None:
    return Verdict("False", "ScaledToZero", "replicas is 0") if facts.observed.desired == 0 else None


def _cannot_run_here(facts: _Facts) -> Verdict | None:
    return _worst([facts.observed.programmed]) if facts.observed.programmed else None


def _image_missing(facts: _Facts) -> Verdict | None:
    seen = facts.observed
    if facts.rolled_out or seen.waiting not in _PULL_FAILURES:
        return None
    return Verdict("False", "ImagePullFailed", clipped(f"{seen.waiting}: {seen.waiting_message}"))


def _program_ended(facts: _Facts) -> Verdict | None:
    """A program that ended and does not serve: its own word with exit code 78, else CrashLoop.

    While pods of the spec before still serve, a new one that ends is told all the same.
    """
    seen = facts.observed
    if seen.exit_code is None or facts.rolled_out:
        return None
    word, _, rest = seen.last_line.partition(": ")
    words = {*c.REASONS[c.READY], *c.REASONS[c.ACCEPTED]} - c.PENDING  # what ended is not on its way
    if seen.exit_code == INVALID_INPUT_EXIT and word in words:
        return Verdict("False", word, clipped(rest or seen.last_line))
    times = f", {seen.restarts} restart{'s' * (seen.restarts > 1)}" if seen.restarts else ""
    last = f": {seen.last_line}" if seen.last_line else ""
    return Verdict("False", "CrashLoop", clipped(f"the program exited with {seen.exit_code}{times}{last}"))


def _rollout_failed(facts: _Facts) -> Verdict | None:
    return (
        Verdict("False", "RolloutFailed", clipped(facts.observed.rollout_failed))
        if facts.observed.rollout_failed
        else None
    )


def _old_generation(facts: _Facts) -> Verdict | None:
    if facts.observed.generation == facts.generation:
        return None
    return Verdict("False", "Progressing", f"waiting for generation {facts.generation} to run")


def _not_available(facts: _Facts) -> Verdict | None:
    seen = facts.observed
    if facts.rolled_out:
        return None
    why = f" ({': '.join(filter(None, (seen.waiting, seen.waiting_message)))})" if seen.waiting else ""
    return Verdict(
        "False",
        "Progressing",
        clipped(f"{min(seen.updated, seen.available)} of {seen.desired} replicas are available{why}"),
    )


def _no_handshake_wanted(facts: _Facts) -> Verdict | None:
    return None if facts.handshake_wanted else Verdict("True", "Ready")


def _no_handshake_yet(facts: _Facts) -> Verdict | None:
    return (
        None if facts.observed.handshake else Verdict("False", "Progressing", "it runs; waiting for the MCP handshake")
    )


def _handshake_failed(facts: _Facts) -> Verdict | None:
    handshake = facts.observed.handshake
    if handshake is None or handshake.outcome in ("ok", "auth"):
        return None
    return Verdict("False", PROBE_REASONS[handshake.outcome], clipped(handshake.message))


def _tools(facts: _Facts, ready: Verdict) -> Verdict:
    handshake = facts.observed.handshake
    if handshake is None:
        return Verdict("Unknown", "Progressing", clipped(ready.message, MAX_BLOCKED))
    if handshake.outcome == "auth":
        return Verdict("Unknown", "AuthRequired", "the server asks for credentials before it lists its tools")
    if handshake.tools is None:
        message = clipped(handshake.message or "tools/list did not answer", MAX_BLOCKED)
        return Verdict("False", "ProbeFailed", message)
    return Verdict("True", "ToolsDiscovered", _tools_text(handshake))


def _tools_text(handshake: Handshake | None) -> str:
    if handshake is None or handshake.tools is None:
        return ""
    return f"{len(handshake.tools)} tool{'' if len(handshake.tools) == 1 else 's'}"


def _phase(verdicts: Mapping[str, Verdict]) -> str:
    ready = verdicts[c.READY]
    if ready.status == "True":
        return "Ready"
    if any(verdicts[name].status == "False" for name in (c.ACCEPTED, c.RESOLVED_REFS, c.PROGRAMMED)):
        return "Failed"
    return "Pending" if ready.reason in c.PENDING else "Failed"


def _state(facts: _Facts, verdicts: Mapping[str, Verdict]) -> str:
    """S3.30's finer word."""
    seen, ready = facts.observed, verdicts[c.READY]
    if seen.deleting:
        return "Terminating"
    if ready.status == "True":
        return "Running" if seen.replicas == seen.desired else "Scaling"
    if ready.reason in PROBE_REASONS.values():
        return "ValidationFailed"
    if ready.reason not in c.PENDING:
        return "Failed"
    if ready.reason == "Waiting" and seen.available:
        return "Running"
    return "Scaling" if seen.available or seen.desired == 0 else "Creating"


def _validation(handshake: Handshake) -> dict[str, Any]:
    """S3.27. A server that asks for credentials first is neither compliant nor not."""
    listed = handshake.outcome == "ok" and handshake.tools is not None
    made: dict[str, Any] = {
        "state": "AuthRequired" if handshake.outcome == "auth" else "Compliant" if listed else "NonCompliant",
        "compliant": listed,
        "protocolVersion": clipped(handshake.protocol_version, MAX_NAME),
        "transportUsed": handshake.transport,
        "requiresAuth": handshake.outcome == "auth",
        "capabilities": [clipped(name, MAX_NAME) for name in handshake.capabilities[:8]],
    }
    return {key: value for key, value in made.items() if value != ""}


def _conditions(
    verdicts: Mapping[str, Verdict], generation: int, previous: Mapping[str, Any] | None, now: str
) -> list[dict[str, Any]]:
    before = {entry.get("type"): entry for entry in (previous or {}).get("conditions") or []}
    made = []
    for name, verdict in verdicts.items():
        old = before.get(name)
        since = (
            old["lastTransitionTime"]
            if old and old.get("status") == verdict.status and "lastTransitionTime" in old
            else now
        )
        made.append(
            {
                "type": name,
                "status": verdict.status,
                "reason": verdict.reason,
                "message": verdict.message,
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return made
