"""pytest plugin: `control_plane` (one for the session), `namespace` and `node` (one per test), with real parts.

The programs are looked for, and built if need be, before the first test: that may take minutes, and no test's time
limit is meant for it. Imports of weight stand in the fixtures: every package's tests load this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from controlplane.beforehand import beforehand

if TYPE_CHECKING:
    from controlplane.binaries import Binaries, BinariesError
    from controlplane.node import FakeNode
    from controlplane.server import ControlPlane

_FOUND: pytest.StashKey[Binaries | BinariesError] = pytest.StashKey()


def pytest_collection_finish(session: pytest.Session) -> None:
    """The API server's programs."""

    def get(say: Callable[[str], object]) -> None:
        from controlplane.binaries import BinariesError, find

        try:
            session.config.stash[_FOUND] = find(say)
        except BinariesError as error:
            session.config.stash[_FOUND] = error

    beforehand(session, "control_plane", get)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A real API server with our CRDs and the Gateway API's, for all tests of the session."""
    from controlplane.binaries import find
    from controlplane.server import ControlPlane

    # Not there for a test that asks for the fixture by its name while it runs.
    found = request.config.stash.get(_FOUND, None) or find()
    if isinstance(found, Exception):
        raise found
    with ControlPlane(found) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a new namespace, which is deleted with all that is in it."""
    from controlplane import namespaces

    name = namespaces.create(control_plane.client)
    yield name
    namespaces.delete(control_plane.client, name)


@pytest.fixture(scope="session")
def idle_node(control_plane: ControlPlane) -> Iterator[FakeNode]:
    """A node that is responsible for nothing. It is kept, for its fork parents have imported the servers."""
    from controlplane.node import FakeNode

    with FakeNode(control_plane, []) as made:
        yield made


@pytest.fixture
def node(idle_node: FakeNode, namespace: str) -> Iterator[FakeNode]:
    """A node for that namespace: what is deployed there by KAOS runs."""
    idle_node.add(namespace)
    yield idle_node
    idle_node.remove(namespace)
