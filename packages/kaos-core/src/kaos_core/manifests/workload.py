"""Stage 3 of the flow: what runs -> a Deployment and its Service, the same way for every kind."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from kaos_core.copies import copy_of
from kaos_core.manifests import Manifests, Object, names
from kaos_core.manifests.pod_shape import check_shape
from kaos_core.manifests.security import container_defaults, pod_defaults
from kaos_core.program import Env, Program
from kaos_core.strategic_merge import merge

if TYPE_CHECKING:
    from kaos_core.kinds import Kind
    from kaos_core.resolve import Resolved
    from kaos_core.resources.base import Resource
    from kaos_core.resources.workload import HealthCheck, WorkloadSpec
    from kaos_core.settings import Settings

START_SECONDS = 120
"""How long a program may take until its first answer, before the kubelet restarts it."""


def metadata(kind: Kind, resource: Resource, name: str) -> Object:
    """Metadata of a child: named, labelled, and owned as soon as the resource has a uid."""
    meta = resource.metadata
    made: Object = {"name": name, "namespace": meta.namespace, "labels": names.labels(kind.role, meta.name)}
    owner = names.owner_reference(kind.name, {"name": meta.name, "uid": meta.uid})
    if owner:
        made["ownerReferences"] = owner
    return made


def deployment(kind: Kind, resource: Resource, spec: WorkloadSpec, resolved: Resolved, settings: Settings) -> Object:
    """The Deployment, its main container still without the program."""
    child = names.child_name(kind.role, resource.metadata.name)
    own_token = bool(spec.service_account_name) or resolved.service_account_token
    pod_spec: Object = {
        "automountServiceAccountToken": own_token,
        "enableServiceLinks": False,
        "containers": [{"name": kind.container}],
    }
    if resolved.init_containers:
        pod_spec["initContainers"] = copy_of(resolved.init_containers)
    if spec.service_account_name:
        pod_spec["serviceAccountName"] = spec.service_account_name
    pull = [
        *({"name": name} for name in settings.image_pull_secrets),
        *({"name": s.name} for s in spec.image_pull_secrets or []),
    ]
    if pull:
        pod_spec["imagePullSecrets"] = list({secret["name"]: secret for secret in pull}.values())
    if resolved.volume_mounts:
        pod_spec["containers"][0]["volumeMounts"] = copy_of(resolved.volume_mounts)
    if resolved.volumes or spec.volumes:
        pod_spec["volumes"] = copy_of([*resolved.volumes, *(spec.volumes or [])])
    annotations = {names.DEFAULT_CONTAINER: kind.container}
    restarted = resource.metadata.annotations.get(names.RESTARTED_AT)
    if restarted:
        annotations[names.RESTARTED_AT] = restarted
    deployed: Object = {
        "selector": {"matchLabels": names.selector(kind.role, resource.metadata.name)},
        "template": {
            "metadata": {"labels": names.labels(kind.role, resource.metadata.name), "annotations": annotations},
            "spec": pod_spec,
        },
    }
    if spec.replicas is not None:
        deployed["replicas"] = spec.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(kind, resource, child),
        "spec": deployed,
    }


def service(kind: Kind, resource: Resource, spec: WorkloadSpec, *, sticky: bool) -> Object:
    """The Service: always port 8000, whatever port the program has."""
    wanted = spec.service
    port = {"name": names.PORT_NAME, "port": names.SERVICE_PORT, "targetPort": names.PORT_NAME, "protocol": "TCP"}
    made: Object = {
        "type": wanted.type if wanted else "ClusterIP",
        "selector": names.selector(kind.role, resource.metadata.name),
        "ports": [port],
    }
    affinity = (wanted and wanted.session_affinity) or ("ClientIP" if sticky else None)
    if affinity:
        made["sessionAffinity"] = affinity
    meta = metadata(kind, resource, names.child_name(kind.role, resource.metadata.name))
    if wanted and wanted.annotations:
        meta["annotations"] = dict(wanted.annotations)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": made}


def container(name: str, program: Program, extra_env: list[Env], check: HealthCheck | None) -> Object:
    """The program as a container."""
    made: Object = {"name": name, "image": program.image, "imagePullPolicy": "IfNotPresent"}
    if program.command:
        made["command"] = [_with_port(part, program.port) for part in program.command]
    if program.args:
        made["args"] = [_with_port(part, program.port) for part in program.args]
    own = program.env_names()
    env = [*copy_of(program.env), *(entry for entry in copy_of(extra_env) if entry["name"] not in own)]
    if env:
        made["env"] = env
    if program.env_from:
        made["envFrom"] = copy_of(program.env_from)
    made["ports"] = [{"name": names.PORT_NAME, "containerPort": program.port, "protocol": "TCP"}]
    if check is None or check.enabled:
        made.update(_probes(program, check))
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return made


def params_config_map(kind: Kind, resource: Resource, program: Program) -> Object | None:
    """The ConfigMap that carries the program's files; None when it has none."""
    if not program.files:
        return None
    child = names.child_name(kind.role, resource.metadata.name)
    data = {_config_key(path): text for path, text in sorted(program.files.items())}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(kind, resource, f"{child[: 253 - 7]}-params"),
        "data": data,
    }


def mount_params(manifests: Manifests, config_map: Object) -> None:
    """Mount the ConfigMap, and let a change of it roll the pods.

    The folder of params is mounted whole; a file anywhere else by itself, so that its folder keeps what it has.
    """
    pod = manifests.pod
    pod["spec"].setdefault("volumes", []).append(
        {"name": names.PARAMS_VOLUME, "configMap": {"name": config_map["metadata"]["name"]}}
    )
    mounts = manifests.container.setdefault("volumeMounts", [])
    paths = sorted(manifests.program.files)
    if any(_in_params_folder(path) for path in paths):
        mounts.append({"name": names.PARAMS_VOLUME, "mountPath": names.PARAMS_FOLDER, "readOnly": True})
    mounts += [
        {"name": names.PARAMS_VOLUME, "mountPath": path, "subPath": _config_key(path), "readOnly": True}
        for path in paths
        if not _in_params_folder(path)
    ]
    pod["metadata"]["annotations"][names.PARAMS_HASH] = content_hash(config_map["data"])


def finish_pod(pod_spec: Object, main: str, resolved: Resolved, spec: WorkloadSpec) -> Object:
    """The user's podSpec over the generated one, then security defaults wherever both left them unset.

    Raises:
        MergeError: podSpec does not fit.
    """
    merged: Object = merge(pod_spec, spec.pod_spec or {}, "spec.podSpec")
    check_shape(merged, main, "spec.podSpec")
    security = spec.security
    pod_defaults(merged, security, resolved.run_as_user)
    read_only = (
        security.read_only_root_filesystem
        if security and security.read_only_root_filesystem is not None
        else resolved.read_only
    )
    container_defaults(merged, main, read_only=read_only)
    return merged


def content_hash(value: Any) -> str:
    """A short hash of plain data, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _in_params_folder(path: str) -> bool:
    return path.rpartition("/")[0] == names.PARAMS_FOLDER


def _config_key(path: str) -> str:
    """The key of a file in the ConfigMap: its name, with a hash for files outside the folder of params."""
    name = re.sub(r"[^-._a-zA-Z0-9]", "-", path.rpartition("/")[2])
    return name if _in_params_folder(path) else f"{content_hash(path)[:8]}-{name}"


def _with_port(text: str, port: int) -> str:
    return text.replace("{port}", str(port))


def _probes(program: Program, check: HealthCheck | None) -> Object:
    live = (check and check.path) or program.health
    ready = (check and check.path) or program.ready or live
    port: Any = (check and check.port) or names.PORT_NAME

    def probe(path: str | None, **timing: int) -> Object:
        if path is None:
            return {"tcpSocket": {"port": port}, **timing}
        # The kubelet calls the pod's IP, which a server that guards against DNS rebinding would refuse.
        return {
            "httpGet": {"path": path, "port": port, "httpHeaders": [{"name": "Host", "value": "localhost"}]},
            **timing,
        }

    return {
        "startupProbe": probe(live, periodSeconds=1, failureThreshold=START_SECONDS, timeoutSeconds=2),
        "livenessProbe": probe(live, periodSeconds=10, failureThreshold=3, timeoutSeconds=5),
        "readinessProbe": probe(ready, periodSeconds=5, failureThreshold=3, timeoutSeconds=5),
    }
