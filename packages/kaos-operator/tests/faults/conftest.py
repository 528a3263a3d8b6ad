"""What the fault tests share: an operator that reaches the API server by a fault proxy, and the oracles, written once.

The oracles are I1 to I8 of the reliability page; those that can always be asked are asked after every test.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faultproxy import Match

if TYPE_CHECKING:
    from controlplane.server import ControlPlane
    from faultproxy import FaultProxy

Document = dict[str, Any]
OURS = ("MCPServer", "Agent", "ModelAPI")
CHILDREN = ("Deployment", "Service", "ConfigMap", "HTTPRoute")
MANAGED = "app.kubernetes.io/managed-by"
HASH = "kaos.tools/applied-hash"
OTHER_EACH_TIME = frozenset(
    ["uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime", "clusterIP", "clusterIPs"]
) | {HASH}


class Oracles:
    """What has to hold whatever happens, asked of the namespaces of one `World`."""

    def __init__(self, world: Any) -> None:
        self.world = world

    # Asked by tests.

    def shape(self, name: str, kind: str = "MCPServer") -> Document:
        """I1: a resource with all its children, without what differs from one object to the next."""
        resource = self.world.get(kind, name) or {}
        found = {kind: resource.get("status")}
        for child in self.children(name, kind):
            found[f"{child['kind']} {child['metadata']['name']}"] = child
        return json.loads(json.dumps(_masked(found), sort_keys=True).replace(name, "NAME"))

    def children(self, name: str, kind: str = "MCPServer") -> list[Document]:
        """Everything that is labelled as this resource's."""
        label = kind.lower()
        return [
            {"kind": child, **obj}
            for child in CHILDREN
            for obj in self.world.list(child)
            if (obj["metadata"].get("labels") or {}).get(label) == name
        ]

    @contextmanager
    def unchanged(self, *objects: tuple[str, str]) -> Iterator[None]:
        """I2 and I3: these objects (kind, name) are the same to the byte afterwards."""
        before = [self.world.get(*each) for each in objects]
        assert None not in before, objects
        yield
        assert [self.world.get(*each) for each in objects] == before

    def steady(self, seconds: float = 2.0) -> None:
        """I1: converged is converged: nothing is written any more."""
        mark = self.world.plane.mark()
        time.sleep(seconds)
        assert self.world.writes(mark) == []

    def nowhere(self, canary: str) -> None:
        """I5: a secret value is in no log, event, status, metric, ConfigMap, manifest or command line."""
        operator = self.world.operator
        places = {
            "log": json.dumps(operator.lines()),
            "metrics": operator.ask("/metrics")[1],
            "command line": Path(f"/proc/{operator.pid}/cmdline").read_text(),
            **{kind: json.dumps(self.world.list(kind)) for kind in (*OURS, *CHILDREN, "Event", "Pod")},
        }
        assert [place for place, text in places.items() if canary in text] == []

    def memory(self) -> int:
        """I7: bytes that the operator's process occupies."""
        lines = Path(f"/proc/{self.world.operator.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024

    # Asked after every test.

    def check(self) -> None:
        """I2 and I6 to I8."""
        assert self.world.operator.running
        resources = [{"kind": kind, **each} for kind in OURS for each in self.world.list(kind)]
        deployments = {each["metadata"]["name"]: each for each in self.world.list("Deployment")}
        for resource in resources:
            assert len(json.dumps(resource.get("status") or {})) <= 8192, resource["metadata"]["name"]
            _truthful(resource, deployments)
        for kind in CHILDREN:
            for obj in self.world.list(kind):
                _owned(kind, obj)
        told = Counter((e["involvedObject"].get("uid"), e["reason"]) for e in self.world.list("Event"))
        assert {each: count for each, count in told.items() if count > 1} == {}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items() if name not in OTHER_EACH_TIME}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def _owned(kind: str, obj: Document) -> None:
    """Never a child of ours without an owner."""
    meta = obj["metadata"]
    if (meta.get("labels") or {}).get(MANAGED) != "kaos-operator" or meta["name"] == "kaos-operator-info":
        return
    owners = [each for each in meta.get("ownerReferences") or [] if each.get("controller")]
    assert len(owners) == 1, f"{kind} {meta['name']}"


def _truthful(resource: Document, deployments: dict[str, Document]) -> None:
    """I8: Ready is True only of the generation that is there, and only when all of it is available."""
    meta, status = resource["metadata"], resource.get("status") or {}
    ready = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {})
    if ready.get("status") != "True" or ready["observedGeneration"] != meta["generation"]:
        return
    deployment = deployments[f"{resource['kind'].lower()}-{meta['name']}"]
    counts, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    assert counts.get("observedGeneration") == deployment["metadata"]["generation"], meta["name"]
    assert counts.get("updatedReplicas") == counts.get("availableReplicas") == wanted, meta["name"]


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    """The module's proxy before the API server."""
    from faultproxy import hosted, kubeconfig

    cluster = kubeconfig.read(control_plane.kubeconfig)
    with hosted(cluster.url, cluster.ca) as running:
        yield running


@pytest.fixture(scope="module")
def login(
    control_plane: ControlPlane,
    home: str,
    scope: list[str],
    proxy: FaultProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The operator's own rights, by way of the proxy."""
    from controlplane.operators import grant

    target = tmp_path_factory.mktemp("login") / "kubeconfig"
    return proxy.write_kubeconfig(grant(control_plane, home, scope), target)


@pytest.fixture
def oracles(world: Any) -> Oracles:
    return Oracles(world)


@pytest.fixture(autouse=True)
def checked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Afterwards the fault is over, and the oracles that always hold are asked."""
    yield
    if "proxy" in request.fixturenames:
        request.getfixturevalue("proxy").heal()
    if "world" in request.fixturenames:
        Oracles(request.getfixturevalue("world")).check()


@pytest.fixture(scope="session")
def writing() -> Callable[..., Match]:
    """Matches the writes that count, the Lease's and `kaos-operator-info`'s left out."""

    def match(path: str = "", methods: str | None = None) -> Match:
        return Match(methods, path, write=True, where=lambda request: not request.is_bookkeeping)

    return match
