"""Pod Security Standards: what a pod does that its namespace does not allow (B35).

The cluster's own admission has the last word; this says the same earlier, in the resource's status, also where
admission is off. Source: Kubernetes, "Pod Security Standards".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from kaos_core.errors import Problem

Level = Literal["restricted", "baseline", "privileged"]

RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}


def violations(pod_spec: Mapping[str, Any], level: Level) -> list[Problem]:
    """One problem that lists every control the pod violates at this level, or none."""
    found: list[str] = []
    if level != "privileged":
        found += _baseline(pod_spec)
    if level == "restricted":
        found += _restricted(pod_spec)
    if not found:
        return []
    label = "baseline" if level == "restricted" and not list(_baseline(pod_spec)) else "privileged"
    hint = f"label the namespace kaos.tools/pod-security={label} if that is meant"
    return [
        Problem(
            "PodSecurityViolation",
            f"not allowed at level {level}: {'; '.join(dict.fromkeys(found))}",
            "spec.podSpec",
            hint=hint,
        )
    ]


def _containers(pod_spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in ("initContainers", "containers"):
        yield from pod_spec.get(group) or []


def _context(of: Mapping[str, Any]) -> Mapping[str, Any]:
    return of.get("securityContext") or {}


def _baseline(pod_spec: Mapping[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod_spec.get(name):
            yield f"hostNamespaces ({name})"
    for volume in pod_spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"hostPathVolumes (volume {volume['name']})"
    if (_context(pod_spec).get("seccompProfile") or {}).get("type") == "Unconfined":
        yield "seccompProfile (Unconfined)"
    for container in _containers(pod_spec):
        name, context = container["name"], _context(container)
        if context.get("privileged"):
            yield f"privileged (container {name})"
        added = set((context.get("capabilities") or {}).get("add") or [])
        if added - BASELINE_CAPABILITIES:
            yield f"capabilities (container {name} adds {', '.join(sorted(added - BASELINE_CAPABILITIES))})"
        if context.get("procMount", "Default") != "Default":
            yield f"procMount (container {name})"
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield f"hostPorts (container {name})"
        if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
            yield f"seccompProfile (container {name})"


def _restricted(pod_spec: Mapping[str, Any]) -> Iterator[str]:
    pod = _context(pod_spec)
    for volume in pod_spec.get("volumes") or []:
        for source in volume.keys() - {"name", "hostPath"} - RESTRICTED_VOLUMES:
            yield f"restrictedVolumes (volume {volume['name']} is {source})"
    for container in _containers(pod_spec):
        name, context = container["name"], _context(container)
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"allowPrivilegeEscalation (container {name})"
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []) or set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"capabilities (container {name})"
        if not context.get("runAsNonRoot", pod.get("runAsNonRoot")):
            yield f"runAsNonRoot (container {name})"
        if context.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"runAsUser (container {name} runs as root)"
        profile = context.get("seccompProfile") or pod.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"seccompProfile (container {name})"
