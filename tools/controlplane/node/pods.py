"""Pods and ReplicaSets as documents: what controllers create, and the status kubelet writes. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from controlplane.node.api import Object
from controlplane.node.state import Ended, State

NODE = "fake-node"
ADDRESS = "127.0.0.1"
HASH = "pod-template-hash"


def template_hash(template: Object) -> str:
    """Another one for every other template."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def owned_by(owner: Object, version: str, kind: str) -> list[Object]:
    """The owner reference of a child."""
    meta = owner["metadata"]
    reference = {"apiVersion": version, "kind": kind, "name": meta["name"], "uid": meta["uid"]}
    return [{**reference, "controller": True, "blockOwnerDeletion": True}]


def replica_set(deployment: Object, digest: str, replicas: int) -> Object:
    """The one for the Deployment's present template."""
    spec, meta = deployment["spec"], deployment["metadata"]
    template = spec["template"]
    labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
    return {
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "labels": labels,
            "ownerReferences": owned_by(deployment, "apps/v1", "Deployment"),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {**spec["selector"]["matchLabels"], HASH: digest}},
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        },
    }


def pod(replicas: Object) -> Object:
    """One more pod of a ReplicaSet."""
    template = replicas["spec"]["template"]
    return {
        "metadata": {
            "generateName": f"{replicas['metadata']['name']}-",
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"].get("annotations") or {},
            "ownerReferences": owned_by(replicas, "apps/v1", "ReplicaSet"),
        },
        "spec": {**template["spec"], "nodeName": NODE},
    }


def pod_status(document: Object, main: str, state: State, before: Object, time: str) -> Object:
    """The status of a pod whose container `main` is in this state; the others are taken to run along with it."""
    created = document["metadata"]["creationTimestamp"]
    ready = state.ready
    lacking = "" if ready else f"containers with unready status: [{main}]"
    unready = {} if ready else {"reason": "ContainersNotReady", "message": lacking}
    conditions: list[tuple[str, bool, dict[str, str]]] = [
        ("PodReadyToStartContainers", True, {}),
        ("Initialized", True, {}),
        ("Ready", ready, unready),
        ("ContainersReady", ready, unready),
        ("PodScheduled", True, {}),
    ]
    spec = document["spec"]
    begun = bool(state.running or state.ended or state.last)
    return {
        "phase": "Running" if begun else "Pending",
        "conditions": [_condition(*one, before, time) for one in conditions],
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "startTime": created,
        "initContainerStatuses": [
            _container_status(one, document, State(ended=Ended(0, "Completed", "", created, created), ready=True))
            for one in spec.get("initContainers") or []
        ]
        or None,
        "containerStatuses": [
            _container_status(one, document, state if one["name"] == main else _alongside(state))
            for one in spec["containers"]
        ],
    }


def _alongside(state: State) -> State:
    return State(waiting="", running=state.running, ready=True) if state.running else State()


def _condition(kind: str, holds: bool, why: dict[str, str], before: Object, time: str) -> Object:
    status = "True" if holds else "False"
    old = next((one for one in before.get("conditions") or [] if one["type"] == kind), None)
    since = old["lastTransitionTime"] if old and old["status"] == status else time
    return {"type": kind, "status": status, "lastTransitionTime": since, **why}


def _container_status(container: Object, document: Object, state: State) -> Object:
    made: dict[str, Any] = {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"{container['image']}@sha256:{hashlib.sha256(container['image'].encode()).hexdigest()}",
        "ready": state.ready,
        "started": bool(state.running) or (state.ended is not None and state.ready),
        "restartCount": state.restarts,
        "state": _state(document, state),
    }
    if not (state.running or state.ended or state.last):
        made["imageID"] = ""
    if state.last:
        made["lastState"] = {"terminated": _terminated(state.last)}
    return made


def _state(document: Object, state: State) -> Object:
    if state.ended:
        return {"terminated": _terminated(state.ended)}
    if state.running:
        return {"running": {"startedAt": state.running}}
    meta = document["metadata"]
    message = state.message.replace("{pod}", f"{meta['name']}_{meta['namespace']}({meta['uid']})")
    return {"waiting": {"reason": state.waiting, **({"message": message} if message else {})}}


def _terminated(ended: Ended) -> Object:
    made = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": ended.started,
        "finishedAt": ended.finished,
    }
    return {**made, "message": ended.message} if ended.message else made
