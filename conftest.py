"""Marks the tests that start programs, by the fixtures that do: `nox -s test-fast` leaves them out."""

from __future__ import annotations

import pytest

pytest_plugins = ["controlplane.fixtures", "faultproxy.fixtures"]
STARTERS = {
    "control_plane",
    "gateway",
    "install",
    "kaos",
    "local",
    "mcp_server",
    "parent",
    "python_with_echo",
    "shared_kaos",
    "start",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "servers: starts programs")
    config.addinivalue_line("markers", "slow: minutes of faults; `nox` runs them, `nox -s alone` does not")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STARTERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
        if "faults" in item.path.parts:
            item.add_marker("slow")
