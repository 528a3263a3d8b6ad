"""Observe: what the cache knows of a resource's workload -> `Observed`. Pure; `kaos_core.status` says what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kaos_core.conditions import READY, TOOLS_DISCOVERED
from kaos_core.errors import Problem
from kaos_core.observed import Handshake, Observed, Outcome
from kaos_core.status import PROBE_REASONS
from kaos_operator.cache import Child
from kaos_operator.pods import Pod

_MISSING = (
    (re.compile(r'serviceaccount "([^"]+)" not found', re.I), "ServiceAccountNotFound", "ServiceAccount"),
    (re.compile(r'secret "([^"]+)" not found', re.I), "SecretNotFound", "Secret"),
    (re.compile(r'configmap "([^"]+)" not found', re.I), "ConfigMapNotFound", "ConfigMap"),
    (re.compile(r"couldn't find key \S+ in Secret (\S+)", re.I), "SecretNotFound", "Secret"),
    (re.compile(r"couldn't find key \S+ in ConfigMap (\S+)", re.I), "ConfigMapNotFound", "ConfigMap"),
)
"""What the ReplicaSet controller and the kubelet say when something a pod refers to is not there."""


_OUTCOMES: Mapping[str, Outcome] = {reason: outcome for outcome, reason in PROBE_REASONS.items()}


def observe(
    generation: int,
    deployment: Child | None,
    pods: Sequence[Pod],
    *,
    applied: bool,
    programmed: Problem | None,
    handshake: Handshake | None,
    deleting: bool,
    replicas: int | None,
) -> Observed:
    """The facts about one resource.

    Args:
        generation: of the resource that was planned.
        deployment: None when there is none.
        pods: the youngest first.
        applied: every child is as planned.
        programmed: why one could not be applied.
        handshake: the last one with these pods.
        deleting: the resource is being deleted.
        replicas: what the spec wishes; None leaves it to the Deployment.
    """
    if deployment is None:
        desired = 1 if replicas is None else replicas
        return Observed(
            generation=generation if applied else None, desired=desired, programmed=programmed, deleting=deleting
        )
    counts = deployment.status
    conditions = [_plain(condition) for condition in counts.get("conditions") or []]
    failure = next((c for c in conditions if c["type"] == "ReplicaFailure" and c["status"] == "True"), None)
    stalled = next((c for c in conditions if c.get("reason") == "ProgressDeadlineExceeded"), None)
    current = int(counts.get("observedGeneration") or 0) >= deployment.generation
    pod = next((pod for pod in pods if pod.troubled), pods[0] if pods else None)
    references = [
        missing
        for text in (failure.get("message", "") if failure else "", pod.waiting_message if pod else "")
        if (missing := _missing(text))
    ]
    if failure and not references and programmed is None:
        programmed = Problem("AdmissionDenied", f"no pod could be made: {failure.get('message', '')}")
    return Observed(
        generation=generation if applied else None,
        desired=1 if deployment.replicas is None else deployment.replicas,
        replicas=int(counts.get("replicas") or 0),
        ready=int(counts.get("readyReplicas") or 0),
        available=int(counts.get("availableReplicas") or 0),
        # Counts of a template before the last edit say nothing about that edit (F33).
        updated=int(counts.get("updatedReplicas") or 0) if current else 0,
        deployment_conditions=tuple(sorted(conditions, key=lambda condition: str(condition["type"]))),
        restarts=pod.restarts if pod else 0,
        exit_code=pod.exit_code if pod else None,
        last_line=pod.last_line if pod else "",
        waiting=pod.waiting if pod else "",
        waiting_message=pod.waiting_message if pod else "",
        rollout_failed=str(stalled.get("message", "")) if stalled else "",
        references=tuple(references),
        programmed=programmed,
        handshake=handshake,
        deleting=deleting,
    )


def remembered(status: Mapping[str, Any], generation: int) -> Handshake | None:
    """The handshake that a status tells of, for an operator that has just started and has not asked yet.

    Without it, every restart would say of every server that it is not Ready, and take that back a moment later.
    None when the status is of another generation, or when there had been no answer.
    """
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or []}
    ready, tools = conditions.get(READY) or {}, conditions.get(TOOLS_DISCOVERED) or {}
    if status.get("observedGeneration") != generation or ready.get("observedGeneration") != generation:
        return None
    if outcome := _OUTCOMES.get(ready.get("reason", "")):
        return Handshake(outcome, ready.get("message", ""))
    validation = status.get("validation")
    if ready.get("status") != "True" or not validation:
        return None
    about = status.get("serverInfo") or {}
    listed = tools.get("status") == "True"
    return Handshake(
        "auth" if validation.get("requiresAuth") else "ok",
        "" if listed else tools.get("message", ""),
        transport=validation.get("transportUsed", ""),
        protocol_version=validation.get("protocolVersion", ""),
        server_name=about.get("name", ""),
        server_version=about.get("version", ""),
        capabilities=tuple(validation.get("capabilities") or ()),
        tools=tuple(status.get("availableTools") or ()) if listed else None,
    )


def _plain(condition: Mapping[str, Any]) -> dict[str, Any]:
    """Without the time of the last look, which changes when nothing else does."""
    return {name: value for name, value in condition.items() if name != "lastUpdateTime"}


def _missing(text: str) -> Problem | None:
    for pattern, reason, kind in _MISSING:
        if found := pattern.search(text):
            name = found[1].rpartition("/")[2]
            hint = f"create the {kind} {name}, or name another"
            return Problem(reason, f"the {kind} {name} is missing: {text.strip()}", hint=hint)
    return None
