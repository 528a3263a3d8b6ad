"""F12: the API server comes back on an etcd that has forgotten every version a watch could go on from."""

import pytest

from controlplane import namespaces
from controlplane.binaries import find
from controlplane.server import ControlPlane

MUL = "def mul(a: int, b: int) -> int:\n    return a * b\n"


@pytest.fixture(scope="module")
def control_plane():
    """Its own: whoever watches the tests' common one would be cut off too."""
    with ControlPlane(find()) as plane:
        yield plane


@pytest.fixture(scope="module")
def home(control_plane):
    return namespaces.create(control_plane.client)


@pytest.fixture(scope="module")
def login():
    return None


def test_a_restart_with_compaction_loses_no_edit_and_writes_nothing_else(world, oracles):
    """F12: an edit and a deletion that no watch can tell of any more are found by the new lists."""
    for name in ("edited", "kept", "deleted"):
        world.create(world.server(name))
    for name in ("edited", "kept", "deleted"):
        world.until_programmed(name)
    world.quiet(1)
    world.plane.stop_api_server()
    world.plane.start_api_server(compact=True)
    mark = world.plane.mark()

    world.edit("MCPServer", "edited", params=MUL)
    world.delete("MCPServer", "deleted")
    world.delete("Service", "mcpserver-kept")

    world.until_programmed("edited")
    world.until(lambda: world.get("Service", "mcpserver-kept"))
    world.quiet()
    assert sorted((r.resource, r.name) for r in world.writes(mark)) == [
        ("deployments", "mcpserver-edited"),
        ("mcpservers", "edited"),
        ("services", "mcpserver-kept"),
    ]
