"""The cache: answers to our own writes and the watches tell of the same objects, in whatever order."""

from __future__ import annotations

import pytest

from kaos_operator.cache import Cache
from kaos_operator.objects import Key, child_key

SERVER = {
    "apiVersion": "kaos.tools/v1alpha1",
    "kind": "MCPServer",
    "metadata": {"name": "echo", "namespace": "default", "uid": "server", "resourceVersion": "5"},
    "spec": {},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "mcpserver-echo",
        "namespace": "default",
        "uid": "service",
        "resourceVersion": "7",
        "ownerReferences": [
            {
                "apiVersion": "kaos.tools/v1alpha1",
                "kind": "MCPServer",
                "name": "echo",
                "uid": "server",
                "controller": True,
            }
        ],
    },
    "spec": {},
}
ECHO = Key("MCPServer", "default", "echo")


@pytest.fixture
def cache():
    return Cache({"MCPServer": "mcpserver"}, lambda _: ())


def test_a_resource_that_is_gone_does_not_come_back_with_a_late_answer(cache):
    cache.see_resource(SERVER)
    cache.lose_resource(ECHO, "server")
    assert cache.see_resource(SERVER) == set()
    assert cache.resources == {}


@pytest.mark.parametrize("known", [True, False])
def test_a_child_that_is_gone_does_not_come_back_with_a_late_answer(cache, known):
    # Its end may even be told before the answer to the write that made it.
    if known:
        cache.see_child(SERVICE)
    cache.lose_child(child_key(SERVICE), "service")
    assert cache.see_child(SERVICE) is None
    assert cache.children == {}


def test_another_object_of_the_same_name_is_seen(cache):
    cache.lose_child(child_key(SERVICE), "service")
    again = {**SERVICE, "metadata": {**SERVICE["metadata"], "uid": "another"}}
    assert cache.see_child(again) == ECHO
