"""The conditions of a resource, and the closed list of reasons why each may not be True."""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = "Accepted"
RESOLVED_REFS: Final = "ResolvedRefs"
PROGRAMMED: Final = "Programmed"
READY: Final = "Ready"
TOOLS_DISCOVERED: Final = "ToolsDiscovered"

REASONS: Final[dict[str, tuple[str, ...]]] = {
    ACCEPTED: (
        "UnknownRuntime",
        "RuntimeDisabled",
        "UnsupportedTransport",
        "InvalidParams",
        "InvalidPodSpec",
        "InvalidResources",
        "PodSecurityViolation",
        "PluginFailed",
    ),
    RESOLVED_REFS: ("MissingRequiredEnv", "ServiceAccountNotFound", "ConfigMapNotFound", "SecretNotFound"),
    PROGRAMMED: ("NameConflict", "AdmissionDenied", "Forbidden", "FieldConflict"),
    READY: (
        "Progressing",
        "ScaledToZero",
        "Waiting",
        "InvalidCode",
        "ImportError",
        "NoTools",
        "CrashLoop",
        "ImagePullFailed",
        "ProbeFailed",
        "ProbeTimeout",
        "ProbeTooLarge",
        "ProbeRedirected",
        "ProtocolUnsupported",
        "RolloutFailed",
        "NoLocalRuntime",
    ),
    TOOLS_DISCOVERED: ("AuthRequired", "Progressing", "ProbeFailed"),
}

PENDING: Final = frozenset({"Progressing", "ScaledToZero", "Waiting"})
"""Reasons of Ready that time or the user's own wish explains: phase Pending. Every other one is phase Failed."""


def condition_of(reason: str) -> str:
    """The condition a reason belongs to. Raises KeyError for a reason that is not in the list."""
    for condition, reasons in REASONS.items():
        if reason in reasons:
            return condition
    raise KeyError(reason)
