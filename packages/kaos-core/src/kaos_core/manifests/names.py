"""Every name, label, annotation and port that more than one place must agree on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

GROUP = "kaos.tools"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "kaos-operator"
CATEGORY = "kaos"

SYSTEM_NAMESPACE = "kaos-system"
REGISTRY_CONFIGMAP = "kaos-mcp-runtimes"
REGISTRY_LABEL = f"{GROUP}/runtime-registry"
REGISTRY_KEY = "runtimes.yaml"

POD_SECURITY_LABEL = f"{GROUP}/pod-security"
PARAMS_HASH = f"{GROUP}/params-hash"
RESTARTED_AT = f"{GROUP}/restartedAt"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

SERVICE_PORT = 8000
PORT_NAME = "http"
PARAMS_FOLDER = "/etc/kaos/params"
PARAMS_KEY = "params"
PARAMS_VOLUME = "kaos-params"
TOKEN_KEY = "token"  # noqa: S105 the key's name

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
MAX_LABEL = 63


def child_name(prefix: str, name: str) -> str:
    """The name of a resource's children: `<prefix>-<name>`, as S1.22 has it.

    A resource's name may have dots and 253 characters, a Service's may not: where it does not fit, the end becomes
    a hash of the whole name, so that two long names never meet.
    """
    plain = f"{prefix}-{name}"
    if _DNS_LABEL.fullmatch(plain):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    stem = re.sub(r"[^-a-z0-9]", "-", plain)[: MAX_LABEL - 9].rstrip("-")
    return f"{stem}-{digest}"


def token_secret(child: str) -> str:
    """The Secret with the token that was generated for a child."""
    return f"{child}-token"


def token_source(child: str) -> dict[str, object]:
    """That token for an environment variable."""
    return {"valueFrom": {"secretKeyRef": {"name": token_secret(child), "key": TOKEN_KEY}}}


def label_value(name: str) -> str:
    """A resource's name as a label value: itself, or shortened with a hash when it is too long."""
    if len(name) <= MAX_LABEL:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_LABEL - 9].rstrip('-.')}-{digest}"


def selector(role: str, name: str) -> dict[str, str]:
    """The labels that pick the pods of one resource and no others: `role` is `mcpserver`, `agent` or `modelapi`."""
    return {role: label_value(name), "app.kubernetes.io/managed-by": FIELD_MANAGER}


def labels(role: str, name: str) -> dict[str, str]:
    """The labels of every child (S1.23, and the recommended ones)."""
    return {
        **selector(role, name),
        "app.kubernetes.io/name": role,
        "app.kubernetes.io/instance": label_value(name),
        "app.kubernetes.io/component": role,
        "app.kubernetes.io/part-of": "kaos",
    }


def service_hosts(service: str, namespace: str) -> list[str]:
    """Every name under which a Service is reached from inside the cluster."""
    return [service, *(f"{service}.{namespace}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))]


def service_origin(service: str, namespace: str) -> str:
    """`status.endpoint`: the Service's URL without a path (S1.17)."""
    return f"http://{service}.{namespace}.svc.cluster.local:{SERVICE_PORT}"


def owner_reference(kind: str, metadata: Mapping[str, str]) -> list[dict[str, object]]:
    """The owner of a child; empty while the resource has no uid, as in a dry run."""
    if not metadata.get("uid"):
        return []
    owner = {"apiVersion": API_VERSION, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return [{**owner, "controller": True, "blockOwnerDeletion": True}]
