"""What the tests of the control plane share: waiting, and a resource applied as the operator would apply it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from kaos_core.plan import plan
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

Document = dict[str, Any]


def _eventually(look: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return seen


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(look)`: what `look` returns as soon as it is something."""
    return _eventually


class Applied:
    """`apply(name, spec)`: an MCPServer with the children of its plan. `get` reads what is there."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.plane = control_plane
        self.namespace = namespace
        self._plugins = Plugins.installed()
        self._registry = Registry.build(self._plugins)

    def __call__(self, name: str, spec: Document) -> Document:
        owner = {
            "apiVersion": "kaos.tools/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        written = self._apply(f"/apis/kaos.tools/v1alpha1/namespaces/{self.namespace}/mcpservers/{name}", owner)
        planned = plan(written, self._registry, self._plugins)
        assert planned.errors == []
        for item in planned.objects:
            self._apply(f"{self.path(item['kind'])}/{item['metadata']['name']}", item)
        return written

    def path(self, kind: str) -> str:
        return {
            "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
            "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
            "MCPServer": "/apis/kaos.tools/v1alpha1/namespaces/{}/mcpservers",
            "Service": "/api/v1/namespaces/{}/services",
            "ConfigMap": "/api/v1/namespaces/{}/configmaps",
            "Secret": "/api/v1/namespaces/{}/secrets",
            "Pod": "/api/v1/namespaces/{}/pods",
        }[kind].format(self.namespace)

    def list(self, kind: str) -> list[Document]:
        items: list[Document] = self.plane.request("GET", self.path(kind))[1]["items"]
        return items

    def status(self, name: str) -> Document:
        """Of the Deployment."""
        _, found = self.plane.request("GET", f"{self.path('Deployment')}/mcpserver-{name}")
        status: Document = found["status"]
        return status

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        for one in self.status(name).get("conditions") or []:
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def available(self, name: str) -> bool:
        """The newest generation, all of it and nothing else."""
        _, found = self.plane.request("GET", f"{self.path('Deployment')}/mcpserver-{name}")
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")]
        return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [wanted] * 3

    def container(self) -> Document:
        """The status of the main container of the only pod; empty when there is not just one."""
        pods = self.list("Pod")
        if len(pods) != 1:
            return {}
        statuses: list[Document] = pods[0]["status"].get("containerStatuses") or [{}]
        return statuses[0]

    def waits(self, reason: str) -> str:
        """Why the container waits, when it is for this reason."""
        waiting: Document = self.container().get("state", {}).get("waiting", {})
        return str(waiting.get("message", "")) if waiting.get("reason") == reason else ""

    def _apply(self, path: str, document: Document) -> Document:
        status, answer = self.plane.request(
            "PATCH",
            f"{path}?fieldManager=test&force=true",
            json.dumps(document),
            content_type="application/apply-patch+yaml",
        )
        assert status in (200, 201), answer
        written: Document = answer
        return written


@pytest.fixture
def apply(control_plane: ControlPlane, namespace: str) -> Applied:
    return Applied(control_plane, namespace)
