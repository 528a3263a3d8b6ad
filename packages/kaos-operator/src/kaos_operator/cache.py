"""The cache: what the watches have told, cut down to what a reconcile needs. No I/O.

A child's body is kept only until somebody has compared it with its manifest; afterwards its digest stands for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kaos_core.manifests.names import POD_SECURITY_LABEL, label_value
from kaos_operator.drift import settled_part
from kaos_operator.objects import APPLIED_HASH, ChildKey, Key, Object, child_key, digest, owner, slimmed, version
from kaos_operator.pods import Pod

_GONE = 10_000
"""How many uids of objects that are gone are remembered: more than answers can be on their way."""

_Label = tuple[str, str, str]
"""Namespace, role and label value: what pods and resources are matched by, whichever is seen first."""


@dataclass(slots=True)
class Child:
    """One object with our label. `body` is None once its digest has been compared."""

    key: ChildKey
    api_version: str
    uid: str
    version: int
    owner: tuple[Key, str] | None
    applied: str
    digest: str
    generation: int
    body: Object | None
    status: Object
    replicas: int | None

    @classmethod
    def of(cls, obj: Object) -> Child:
        """From a live object."""
        meta, is_deployment = obj["metadata"], obj["kind"] == "Deployment"
        return cls(
            key=child_key(obj),
            api_version=obj["apiVersion"],
            uid=meta["uid"],
            version=version(obj),
            owner=owner(obj),
            applied=(meta.get("annotations") or {}).get(APPLIED_HASH, ""),
            digest=digest(settled_part(obj)),
            generation=int(meta.get("generation") or 0),
            body=obj,
            status=dict(obj.get("status") or {}) if is_deployment else {},
            replicas=obj["spec"].get("replicas") if is_deployment else None,
        )


class Cache:
    """Everything known of one cluster. `roles` maps a kind to its label (`MCPServer` -> `mcpserver`)."""

    def __init__(self, roles: Mapping[str, str], references: Callable[[Mapping[str, Any]], tuple[Key, ...]]) -> None:
        self._roles = roles
        self._references = references
        self.resources: dict[Key, Object] = {}
        self.children: dict[ChildKey, Child] = {}
        self._of: defaultdict[Key, set[ChildKey]] = defaultdict(set)
        self._pods: defaultdict[_Label, dict[str, Pod]] = defaultdict(dict)
        self._referring: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_label: dict[_Label, Key] = {}
        self._namespaces: dict[str, tuple[str, str]] = {}
        # In the order of their end. The answer to a write may come after the watch has told of the object's end.
        self._gone: dict[str, None] = {}

    # Reading.

    def children_of(self, key: Key) -> list[Child]:
        """Every object that says it belongs to this resource."""
        return [self.children[name] for name in sorted(self._of.get(key, ()))]

    def pods_of(self, key: Key) -> list[Pod]:
        """Its pods, the youngest first."""
        return sorted(
            self._pods.get(self._label(key), {}).values(), key=lambda pod: (pod.created, pod.name), reverse=True
        )

    def referring_to(self, key: Key) -> set[Key]:
        """The resources that depend on this one."""
        return set(self._referring.get(key, ()))

    def of_namespace(self, namespace: str) -> list[Key]:
        """Every resource there."""
        return [key for key in self.resources if key.namespace == namespace]

    # What watches and our own writes tell.

    def see_resource(self, document: Mapping[str, Any]) -> set[Key]:
        """A resource as it is now -> whom that concerns; nobody when it is old news."""
        key = Key(document["kind"], document["metadata"]["namespace"], document["metadata"]["name"])
        known = self.resources.get(key)
        if document["metadata"]["uid"] in self._gone or (known is not None and version(document) <= version(known)):
            return set()
        if known is not None:
            self._unrefer(key, known)
        fresh = slimmed(document)
        self.resources[key] = fresh
        for reference in self._references(fresh):
            self._referring[reference].add(key)
        if known is None:
            self._by_label[self._label(key)] = key
        return {key, *self.referring_to(key)}

    def lose_resource(self, key: Key, uid: str) -> set[Key]:
        """A resource that is gone -> whom that concerns."""
        self._bury(uid)
        known = self.resources.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return set()
        self._unrefer(key, known)
        del self.resources[key]
        self._by_label.pop(self._label(key), None)
        return {key, *self.referring_to(key)}

    def see_child(self, obj: Object) -> Key | None:
        """A child as it is now -> its owner, when that has to look at it."""
        key = child_key(obj)
        known = self.children.get(key)
        if obj["metadata"]["uid"] in self._gone or (known is not None and version(obj) <= known.version):
            return None
        fresh = Child.of(obj)
        self._put(fresh)
        if known is not None and known.uid == fresh.uid and known.body is None and known.digest == fresh.digest:
            fresh.body = None
            if known.status == fresh.status and known.generation == fresh.generation:
                return None
        return fresh.owner[0] if fresh.owner else self._owner_before(known)

    def lose_child(self, key: ChildKey, uid: str) -> Key | None:
        """A child that is gone -> its owner, as far as it was known."""
        self._bury(uid)
        return self.drop_child(key, uid)

    def drop_child(self, key: ChildKey, uid: str) -> Key | None:
        """A child that is about to go -> its owner; it is seen again if it stays."""
        known = self.children.get(key)
        if known is None or known.uid != uid:
            return None
        del self.children[key]
        owner_key = self._owner_before(known)
        if owner_key:
            self._of[owner_key].discard(key)
        return owner_key

    def see_pod(self, obj: Mapping[str, Any]) -> Key | None:
        """A pod as it is now -> the resource it serves, when something of note has changed."""
        label = self._label_of_pod(obj)
        if label is None:
            return None
        pod = Pod.of(obj)
        if self._pods[label].get(pod.name) == pod:
            return None
        self._pods[label][pod.name] = pod
        return self._by_label.get(label)

    def pods(self) -> list[tuple[str, _Label, Pod]]:
        """Every pod with its namespace and the label that says whose it is."""
        return [(label[0], label, pod) for label, pods in self._pods.items() for pod in pods.values()]

    def lose_pod(self, obj: Mapping[str, Any]) -> Key | None:
        """A pod that is gone -> the resource it served."""
        label = self._label_of_pod(obj)
        return None if label is None else self.lose_pod_of(label, obj["metadata"]["name"])

    def lose_pod_of(self, label: _Label, name: str) -> Key | None:
        """The same, of a pod that is known."""
        if label not in self._pods or self._pods[label].pop(name, None) is None:
            return None
        if not self._pods[label]:
            del self._pods[label]
        return self._by_label.get(label)

    def see_namespace(self, obj: Mapping[str, Any]) -> list[Key]:
        """A namespace as it is now -> its resources, when its labels have changed: admission goes by them."""
        meta = obj["metadata"]
        labels = meta.get("labels") or {}
        seen = labels.get(POD_SECURITY_LABEL, ""), digest(labels)
        known, self._namespaces[meta["name"]] = self._namespaces.get(meta["name"]), seen
        return self.of_namespace(meta["name"]) if known not in (None, seen) else []

    def level(self, namespace: str) -> str:
        """The pod security level that a namespace's label allows; empty when it says nothing."""
        return self._namespaces.get(namespace, ("", ""))[0]

    def settle(self, child: Child) -> None:
        """The child has been compared with its manifest."""
        child.body = None

    # Bookkeeping.

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _GONE:
            del self._gone[next(iter(self._gone))]

    def _put(self, fresh: Child) -> None:
        known = self.children.get(fresh.key)
        before = self._owner_before(known)
        if before:
            self._of[before].discard(fresh.key)
        self.children[fresh.key] = fresh
        if fresh.owner:
            self._of[fresh.owner[0]].add(fresh.key)

    @staticmethod
    def _owner_before(known: Child | None) -> Key | None:
        return known.owner[0] if known and known.owner else None

    def _unrefer(self, key: Key, document: Mapping[str, Any]) -> None:
        for reference in self._references(document):
            self._referring[reference].discard(key)
            if not self._referring[reference]:
                del self._referring[reference]

    def _label(self, key: Key) -> _Label:
        return key.namespace, self._roles[key.kind], label_value(key.name)

    def _label_of_pod(self, obj: Mapping[str, Any]) -> _Label | None:
        meta = obj["metadata"]
        labels = meta.get("labels") or {}
        found = ((meta["namespace"], role, labels[role]) for role in self._roles.values() if role in labels)
        return next(found, None)
