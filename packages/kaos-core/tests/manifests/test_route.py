"""The HTTPRoute: a prefix of its own, stripped, with the timeout of its kind."""

from __future__ import annotations

import pytest

from kaos_core.settings import Gateway, Settings
from kaos_core.testing import server

SETTINGS = Settings(gateway=Gateway("kaos", "kaos-system"))


def test_without_a_gateway_there_is_no_route(planned, by_kind):
    assert not hasattr(by_kind(planned(server("foreign"))), "HTTPRoute")


def test_a_route_has_the_resources_prefix_and_goes_to_its_service(planned, by_kind):
    route = by_kind(planned(server("foreign"), settings=SETTINGS)).HTTPRoute["spec"]
    (rule,) = route["rules"]
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/default/mcp/check"}
    assert rule["filters"][0]["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    assert rule["backendRefs"] == [{"name": "mcpserver-check", "port": 8000}]
    assert "hostnames" not in route


@pytest.mark.parametrize(("timeout", "expected"), [(None, {"request": "30s"}), ("2m", {"request": "2m"}), ("0s", None)])
def test_a_timeout_is_the_specs_or_the_kinds(planned, by_kind, timeout, expected):
    """B41: 0s leaves it to the gateway."""
    spec = {"gatewayRoute": {"timeout": timeout}} if timeout else {}
    route = by_kind(planned(server("foreign", **spec), settings=SETTINGS)).HTTPRoute["spec"]
    assert route["rules"][0].get("timeouts") == expected
