"""Names of children: as the resource's where that is legal, else with a hash that keeps them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_core.manifests import names

NAME = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,250}[a-z0-9])?", fullmatch=True)


def test_a_plain_name_stays_plain():
    assert names.child_name("mcpserver", "calc") == "mcpserver-calc"
    assert names.child_name("mcpserver", "1a") == "mcpserver-1a"
    assert names.service_origin("mcpserver-calc", "default") == "http://mcpserver-calc.default.svc.cluster.local:8000"


@pytest.mark.parametrize("name", ["a.b.c", "a" * 63, "a" * 253])
def test_a_name_that_is_no_service_name_gets_a_hash(name):
    """B19, B20"""
    child = names.child_name("mcpserver", name)
    assert len(child) <= 63
    assert child == names.child_name("mcpserver", name)
    assert "." not in child


@given(st.lists(NAME, min_size=2, max_size=2, unique=True))
def test_two_names_never_share_a_child_or_a_label(pair):
    """B19"""
    first, second = pair
    assert names.child_name("mcpserver", first) != names.child_name("mcpserver", second)
    assert names.selector("mcpserver", first) != names.selector("mcpserver", second)
    assert all(len(names.label_value(name)) <= 63 and names.label_value(name)[-1] not in "-." for name in pair)


def test_kinds_do_not_share_children():
    assert names.child_name("agent", "x") != names.child_name("modelapi", "x")
