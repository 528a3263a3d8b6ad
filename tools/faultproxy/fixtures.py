"""pytest plugin: `fault_proxy` before the real API server of the fixture `control_plane`, and `hostile_peers`.

Imports of weight stand in the fixtures: every package's tests load this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from faultproxy.hostile import HostilePeers
    from faultproxy.proxy import FaultProxy


class ControlPlane(Protocol):
    """What is needed of the fixture: a kubeconfig with a token."""

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""


@pytest.fixture
def fault_proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy before the API server; `fault_proxy.kubeconfig` is the administrator's login by way of it.

    For another login: `fault_proxy.write_kubeconfig(control_plane.kubeconfig_for("alice"), target)`.
    """
    from faultproxy import kubeconfig
    from faultproxy.hosting import hosted

    source = Path(control_plane.kubeconfig)
    cluster = kubeconfig.read(source)
    with hosted(cluster.url, cluster.ca) as proxy:
        proxy.write_kubeconfig(source, tmp_path / "faultproxy.kubeconfig")
        yield proxy


@pytest.fixture
def hostile_peers() -> Iterator[HostilePeers]:
    """Opens hostile MCP servers on free ports: `hostile_peers.open(silent(), count=10)`."""
    from faultproxy.hostile import HostilePeers

    with HostilePeers() as peers:
        yield peers
