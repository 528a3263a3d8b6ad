"""RBAC: the least that the operator needs, and roles for people. `deploy/` and the chart are generated from here.

Not in the operator's, on purpose: reading Secrets, writing Roles or bindings, impersonation, anything about nodes
(design, "Operator"). All tests run it under exactly these roles; one compares them with what it really asks for, and a
snapshot fails on any new verb.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kaos_core.manifests.names import GROUP

Object = dict[str, Any]
NAME = "kaos-operator"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "kaos"}
_RBAC = "rbac.authorization.k8s.io"
_WATCH = ["list", "watch"]
_READ = ["get", *_WATCH]
_KEEP = [*_READ, "create", "patch", "delete"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


def resource_rules(plurals: Iterable[str]) -> list[Object]:
    """What it does in the namespaces it serves; `plurals` are those of our kinds."""
    kinds = sorted(plurals)
    return [
        _rule(GROUP, kinds, _WATCH),
        _rule(GROUP, [f"{kind}/status" for kind in kinds], ["patch"]),
        # Some clusters let only those set blockOwnerDeletion who may change the owner's finalizers.
        _rule(GROUP, [f"{kind}/finalizers" for kind in kinds], ["update"]),
        _rule("apps", ["deployments"], _KEEP),
        _rule("", ["services", "configmaps"], _KEEP),
        _rule("gateway.networking.k8s.io", ["httproutes"], _KEEP),
        _rule("", ["pods"], _WATCH),
        # Created only, never read: a token that server and agents share.
        _rule("", ["secrets"], ["create"]),
        _rule("", ["events"], ["create"]),
    ]


def system_rules(lease: str = NAME) -> list[Object]:
    """What it does in its own namespace: the registry, its Lease, `kaos-operator-info`."""
    return [
        _rule("", ["configmaps"], [*_READ, "create", "patch"]),
        _rule("", ["events"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        {**_rule("coordination.k8s.io", ["leases"], ["get", "update"]), "resourceNames": [lease]},
    ]


def manifests(
    plurals: Iterable[str], namespace: str, namespaces: Sequence[str] = (), *, account: str = NAME, lease: str = NAME
) -> list[Object]:
    """ServiceAccount, roles and bindings of one operator.

    Args:
        plurals: of our kinds.
        namespace: the system namespace.
        namespaces: those it serves, with a Role in each and no ClusterRole at all; empty serves the whole cluster.
        account: name of its ServiceAccount.
        lease: name of its Lease.
    """
    rules = resource_rules(plurals)
    made = [_object("v1", "ServiceAccount", account, namespace)]
    made += _role(f"{account}-system", namespace, system_rules(lease), account, namespace)
    if not namespaces:
        cluster = [*rules, _rule("", ["namespaces"], _WATCH)]
        made.append({**_object(f"{_RBAC}/v1", "ClusterRole", account), "rules": cluster})
        made.append(
            {**_object(f"{_RBAC}/v1", "ClusterRoleBinding", account), **_to("ClusterRole", account, account, namespace)}
        )
    for served in namespaces:
        made += _role(account, served, rules, account, namespace)
    return made


def user_roles(plurals: Iterable[str]) -> list[Object]:
    """ClusterRoles for people: `kaos-view`, `kaos-edit` and `kaos-admin`.

    They are aggregated into the cluster's own view, edit and admin, so that whoever may edit Deployments somewhere may
    edit our kinds there too. admin has no more than edit: nobody but the operator writes status. Who is bound to
    `kaos-edit` alone may create no pods; what the admission policy keeps from such an author is said there.
    """
    kinds = sorted(plurals)
    view = [_rule(GROUP, [*kinds, *(f"{kind}/status" for kind in kinds)], _READ)]
    edit = [*view, _rule(GROUP, kinds, _WRITE)]
    return [_user_role("view", view), _user_role("edit", edit), _user_role("admin", edit)]


def _user_role(name: str, rules: list[Object]) -> Object:
    made = _object(f"{_RBAC}/v1", "ClusterRole", f"kaos-{name}")
    made["metadata"]["labels"] = {**_LABELS, f"{_RBAC}/aggregate-to-{name}": "true"}
    return {**made, "rules": rules}


def _role(name: str, namespace: str, rules: list[Object], account: str, home: str) -> list[Object]:
    role = {**_object(f"{_RBAC}/v1", "Role", name, namespace), "rules": rules}
    return [role, {**_object(f"{_RBAC}/v1", "RoleBinding", name, namespace), **_to("Role", name, account, home)}]


def _to(kind: str, name: str, account: str, home: str) -> Object:
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _object(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": _LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}
