"""Observed: what a target saw of a resource's workload. Either target fills one; `status` turns it into the truth.

Facts only, in the words of the platform; what they mean is decided in `kaos_core.status`, once, for both targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kaos_core.errors import Problem

Outcome = Literal["ok", "auth", "failed", "timeout", "too-large", "redirected", "unsupported"]


@dataclass(frozen=True)
class Handshake:
    """The answer to one MCP handshake (`server/discover` or `initialize`, then `tools/list`).

    Attributes:
        outcome: `ok`; `auth` when the server wants credentials; else what went wrong.
        message: what was seen, for people; empty when ok.
        transport: what answered.
        protocol_version: as the server says it.
        server_name: as the server says it; likewise `server_version`.
        capabilities: of `tools`, `resources`, `prompts`, in this order.
        tools: names in the server's order; None when they could not be listed.
    """

    outcome: Outcome
    message: str = ""
    transport: Literal["streamable-http", "sse", ""] = ""
    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    capabilities: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Observed:
    """What is there now.

    Attributes:
        generation: the `metadata.generation` of the resource that the workload runs; None when nothing runs.
        desired: how many replicas should run; likewise `replicas`, `ready`, `available`, `updated` (S1.20).
        deployment_conditions: the Deployment's own conditions, in the cluster (S1.21).
        restarts: how often the program was started again.
        exit_code: of the last run that ended; None when none has.
        last_line: the last line of its log or termination message.
        waiting: why a container is not running, in kubelet's word (`ImagePullBackOff`, `CrashLoopBackOff`, …).
        waiting_message: kubelet's sentence.
        rollout_failed: the Deployment gave up (`ProgressDeadlineExceeded`), in its own sentence.
        references: ServiceAccounts, ConfigMaps and Secrets that are missing; none of it can run without them.
        programmed: why the plan could not be applied.
        handshake: the last MCP handshake with this generation; None when there was none yet.
        deleting: the resource is being deleted.
    """

    generation: int | None = None
    desired: int = 1
    replicas: int = 0
    ready: int = 0
    available: int = 0
    updated: int = 0
    deployment_conditions: tuple[Mapping[str, Any], ...] = ()
    restarts: int = 0
    exit_code: int | None = None
    last_line: str = ""
    waiting: str = ""
    waiting_message: str = ""
    rollout_failed: str = ""
    references: tuple[Problem, ...] = ()
    programmed: Problem | None = None
    handshake: Handshake | None = None
    deleting: bool = False
    endpoint: str = field(default="")
    """Where it can be reached (origin, no path), when the target decides that; empty takes the plan's."""
