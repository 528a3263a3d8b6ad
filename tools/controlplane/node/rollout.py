"""What a Deployment controller decides: how many pods of which template, and what the status says. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controlplane.node.api import Object


@dataclass(frozen=True)
class Count:
    """The pods of one ReplicaSet, those that are ending left out."""

    pods: int = 0
    ready: int = 0


@dataclass(frozen=True)
class Seen:
    """A Deployment's pods: of its present template, and of earlier ones.

    `name` is the present ReplicaSet's, `refused` why no pod can be made, `complete` that all its pods were ready once,
    `late` that nothing has gone on for the progress deadline.
    """

    name: str
    new: Count
    old: Count
    refused: str = ""
    complete: bool = False
    late: bool = False


def targets(spec: Object, new: Count, old: Count) -> tuple[int, int]:
    """How many pods there may be of the new template and of the old ones now: one step of a rollout."""
    desired = wanted(spec)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return (desired if not old.pods else 0), 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), desired, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), desired, up=False)
    if not surge and not unavailable:
        unavailable = 1
    new_pods = min(desired, max(new.pods, desired + surge - old.pods))
    least = desired - unavailable
    idle, spare = old.pods - old.ready, max(0, new.ready + old.ready - least)
    room = old.pods + new.ready - least
    # Those that serve nobody go first, but they count until a new one serves.
    leave = min(idle, room) + min(spare, old.ready) if room > 0 else 0
    return new_pods, old.pods - leave


def wanted(spec: Object) -> int:
    """`replicas`; one when nobody says."""
    replicas: int | None = spec.get("replicas")
    return 1 if replicas is None else replicas


def _share(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = of * int(value.rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def deployment_status(deployment: Object, seen: Seen, time: str) -> Object:
    """The status as a merge patch: counts of zero are left out, as Kubernetes leaves them out."""
    spec, before = deployment["spec"], deployment.get("status") or {}
    desired, ready = wanted(spec), seen.new.ready + seen.old.ready
    conditions = [_available(spec, ready), _progressing(seen)]
    if seen.refused:
        conditions.append(("ReplicaFailure", "True", "FailedCreate", seen.refused))
    counts = {
        "replicas": seen.new.pods + seen.old.pods,
        "updatedReplicas": seen.new.pods,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, max(desired, seen.new.pods + seen.old.pods) - ready),
    }
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: count or None for name, count in counts.items()},
        "conditions": [_condition(*one, before, time) for one in conditions],
    }


def _available(spec: Object, ready: int) -> tuple[str, str, str, str]:
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    desired = wanted(spec)
    if ready >= desired - _share(rolling.get("maxUnavailable", "25%"), desired, up=False):
        return "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    return "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."


def _progressing(seen: Seen) -> tuple[str, str, str, str]:
    named = f'ReplicaSet "{seen.name}"'
    if seen.complete:
        return "Progressing", "True", "NewReplicaSetAvailable", f"{named} has successfully progressed."
    if seen.late:
        return "Progressing", "False", "ProgressDeadlineExceeded", f"{named} has timed out progressing."
    if not seen.new.pods:
        return "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{seen.name}"'
    return "Progressing", "True", "ReplicaSetUpdated", f"{named} is progressing."


def _condition(kind: str, status: str, reason: str, message: str, before: Object, time: str) -> Object:
    old = next((one for one in before.get("conditions") or [] if one["type"] == kind), None)
    made = {"type": kind, "status": status, "reason": reason, "message": message}
    if old and all(old.get(name) == value for name, value in made.items()):
        return dict(old)
    since = old["lastTransitionTime"] if old and old["status"] == status else time
    return {**made, "lastUpdateTime": time, "lastTransitionTime": since}
