"""What the operator's tests share: one operator per module in a namespace of its own, and short ways to say things."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from controlplane.node import FakeNode
    from controlplane.operators import OperatorProcess
    from controlplane.server import ControlPlane

Document = dict[str, Any]
ADD = 'def add(a: int, b: int) -> int:\n    "Add."\n    return a + b\n'
PLURALS = {
    "MCPServer": "kaos.tools/v1alpha1/mcpservers",
    "Agent": "kaos.tools/v1alpha1/agents",
    "ModelAPI": "kaos.tools/v1alpha1/modelapis",
    "Deployment": "apps/v1/deployments",
    "HTTPRoute": "gateway.networking.k8s.io/v1/httproutes",
    "Service": "v1/services",
    "ConfigMap": "v1/configmaps",
    "Secret": "v1/secrets",
    "Event": "v1/events",
    "Pod": "v1/pods",
    "ServiceAccount": "v1/serviceaccounts",
    "Lease": "coordination.k8s.io/v1/leases",
}


class World:
    """One namespace, and an operator that serves it. `plane` is the API server, `operator` the process."""

    ADD = ADD

    def __init__(self, plane: ControlPlane, namespace: str, operator: OperatorProcess) -> None:
        self.plane = plane
        self.namespace = namespace
        self.operator = operator

    @staticmethod
    def server(name: str, *, kind: str = "MCPServer", **spec: Any) -> Document:
        """An MCPServer of the runtime rawpython, unless the spec says otherwise."""
        if kind == "MCPServer":
            code = {} if {"params", "paramsFrom"} & spec.keys() else {"params": ADD}
            spec = {"runtime": "rawpython", **code, **spec}
        return {"apiVersion": "kaos.tools/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def path(self, kind: str, name: str = "") -> str:
        """The URL path of a collection of this namespace, or of an object."""
        group, _, plural = PLURALS[kind].rpartition("/")
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, document: Document) -> Document:
        """Create, as a user would; the object."""
        status, answer = self.plane.request("POST", self.path(document["kind"]), document)
        assert status == 201, answer
        return answer

    def edit(self, kind: str, name: str, **spec: Any) -> Document:
        """Merge fields into the spec."""
        return self.merge(kind, name, {"spec": spec})

    def merge(self, kind: str, name: str, patch: Document) -> Document:
        """Merge a patch."""
        content = "application/merge-patch+json"
        status, answer = self.plane.request("PATCH", self.path(kind, name), patch, content_type=content)
        assert status == 200, answer
        return answer

    def get(self, kind: str, name: str) -> Document | None:
        """The object, or None."""
        status, answer = self.plane.request("GET", self.path(kind, name))
        assert status in (200, 404), answer
        return answer if status == 200 else None

    def list(self, kind: str) -> list[Document]:
        """Everything of a kind in this namespace."""
        return self.plane.request("GET", self.path(kind))[1]["items"]

    def delete(self, kind: str, name: str) -> None:
        """Delete at once."""
        self.plane.request("DELETE", self.path(kind, name))

    def condition(self, kind: str, name: str, type_: str) -> Document:
        """A condition of a resource; empty while there is none."""
        status = (self.get(kind, name) or {}).get("status") or {}
        return next((c for c in status.get("conditions") or [] if c["type"] == type_), {})

    def until(self, look: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `look` gives as soon as it is true."""
        return self.operator.until(look, seconds)

    def until_condition(self, kind: str, name: str, type_: str, status: str, reason: str = "") -> Document:
        """Wait for a condition of the current generation."""

        def look() -> Document | None:
            document = self.get(kind, name) or {}
            found = self.condition(kind, name, type_)
            current = found.get("observedGeneration") == document.get("metadata", {}).get("generation")
            good = found.get("status") == status and reason in ("", found.get("reason"))
            return found if current and good else None

        try:
            return self.until(look)
        except AssertionError as error:
            raise AssertionError(f"{type_} is {json.dumps(self.condition(kind, name, type_))}; {error}") from None

    def until_programmed(self, name: str, kind: str = "MCPServer") -> Document:
        """Wait until the operator has applied the current generation; the resource."""
        self.until_condition(kind, name, "Programmed", "True")
        return self.get(kind, name) or {}

    def until_ready(self, name: str, kind: str = "MCPServer") -> Document:
        """Wait until it is Ready; the resource. It takes a node."""
        self.until_condition(kind, name, "Ready", "True")
        return self.get(kind, name) or {}

    def writes(self, since: int) -> list[Any]:
        """The operator's own writes since a `plane.mark()`, without the Lease and `kaos-operator-info`."""
        return [
            request
            for request in self.plane.requests(since, agent="kaos-operator", namespace=self.namespace)
            if request.verb not in ("get", "list", "watch")
            and request.resource != "leases"
            and request.name != "kaos-operator-info"
        ]

    def quiet(self, seconds: float = 2.0) -> None:
        """Wait until the operator has written nothing for that long."""
        import time

        last, since = self.plane.mark(), time.monotonic()
        while time.monotonic() - since < seconds:
            if self.writes(last):
                last, since = self.plane.mark(), time.monotonic()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def home(control_plane: ControlPlane) -> Iterator[str]:
    """The namespace of a module."""
    from controlplane import namespaces

    name = namespaces.create(control_plane.client)
    yield name
    namespaces.delete(control_plane.client, name)


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """More settings of a module's operator; modules override it."""
    return {}


@pytest.fixture(scope="module")
def scope(home: str) -> list[str]:
    """The namespaces that a module's operator serves; empty for the whole cluster. Modules override it."""
    return [home]


@pytest.fixture(scope="module")
def login() -> Path | None:
    """Another way of a module's operator to the API server, such as a fault proxy's."""
    return None


@pytest.fixture(scope="module")
def module_node(idle_node: FakeNode, home: str) -> Iterator[FakeNode]:
    """A node that runs what is deployed in the module's namespace."""
    idle_node.add(home)
    yield idle_node
    idle_node.remove(home)


@pytest.fixture(scope="module")
def world(
    control_plane: ControlPlane, home: str, scope: list[str], settings: dict[str, str], login: Path | None
) -> Iterator[World]:
    """The module's namespace with an operator, without a node."""
    from controlplane.operators import OperatorProcess

    with OperatorProcess(control_plane, home, scope, settings, login) as operator:
        yield World(control_plane, home, operator)


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane, home: str, settings: dict[str, str], module_node: FakeNode) -> Iterator[World]:
    """The module's namespace with an operator and a node: programs really run."""
    from controlplane.operators import OperatorProcess

    probe = {"KAOS_PROBE_URL": module_node.probe_url}
    with OperatorProcess(control_plane, home, [home], {**probe, **settings}) as operator:
        yield World(control_plane, home, operator)
