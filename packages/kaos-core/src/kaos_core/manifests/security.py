"""Security defaults (S3.19–S3.21: Pod Security "restricted"), filled in wherever nobody set anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaos_core.manifests import Object
    from kaos_core.resources.workload import Security

DEFAULT_UID = 1000
TMP_VOLUME = "tmp"


def pod_defaults(pod_spec: Object, security: Security | None, runtime_uid: int | None) -> None:
    """Set what the pod's security context leaves unset: `spec.security`, then the runtime's uid, then restricted."""
    uid = DEFAULT_UID if runtime_uid is None else runtime_uid
    wanted = security.model_dump(by_alias=True, exclude_unset=True) if security else {}
    wanted.pop("readOnlyRootFilesystem", None)
    defaults: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
        **wanted,
    }
    _fill(pod_spec, "securityContext", defaults)


def container_defaults(pod_spec: Object, main: str, *, read_only: bool) -> None:
    """The same for every container; the one called `main` also gets its root filesystem mode."""
    for group in ("initContainers", "containers"):
        for container in pod_spec.get(group) or []:
            defaults: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            if read_only and group == "containers" and container["name"] == main:
                defaults["readOnlyRootFilesystem"] = True
            _fill(container, "securityContext", defaults)
            if container["securityContext"].get("privileged"):
                # Kubernetes refuses privileged with allowPrivilegeEscalation: false; who asks for one means it.
                container["securityContext"]["allowPrivilegeEscalation"] = True
    if read_only:
        _writable_tmp(pod_spec, main)


def _writable_tmp(pod_spec: Object, main: str) -> None:
    """Programs expect a writable /tmp; give them one unless somebody mounted it already."""
    container = next(container for container in pod_spec["containers"] if container["name"] == main)
    mounts = container.setdefault("volumeMounts", [])
    volumes = pod_spec.setdefault("volumes", [])
    if any(mount["mountPath"] == "/tmp" for mount in mounts):  # noqa: S108 a path in the pod
        return
    if all(volume["name"] != TMP_VOLUME for volume in volumes):
        volumes.append({"name": TMP_VOLUME, "emptyDir": {}})
    mounts.append({"name": TMP_VOLUME, "mountPath": "/tmp"})  # noqa: S108 a path in the pod


def _fill(parent: Object, key: str, defaults: dict[str, Any]) -> None:
    parent[key] = {**defaults, **(parent.get(key) or {})}
