"""The runtimes `discord` and `fetch`: entries that say they need the adapter."""

from __future__ import annotations

import pytest

import kaos_runtime_stdio as plugin
from kaos_core.plan import plan
from kaos_core.registry import Registry
from kaos_core.testing import builtin_plugins, check_plugin, server


@pytest.fixture
def plugins():
    plugins = builtin_plugins()
    plugins.register(plugin, "stdio")
    return plugins


def test_the_plugin_keeps_the_contract():
    assert [made.resource.spec.runtime for made in check_plugin(plugin)] == ["discord", "fetch"]


@pytest.mark.parametrize("runtime", ["discord", "fetch"])
def test_without_an_adapter_they_are_unsupported(plugins, runtime):
    """B7, C7"""
    env = [{"name": "DISCORD_TOKEN", "value": "x"}]
    made = plan(server(runtime, container={"env": env}), Registry.build(plugins), plugins)
    (problem,) = made.errors
    assert problem.reason == "UnsupportedTransport"
    assert problem.message == f"runtime {runtime} speaks stdio, and no adapter for it is installed"
    assert made.objects == ()


@pytest.mark.parametrize("runtime", ["discord", "fetch"])
def test_they_share_the_image_of_the_adapter(plugins, runtime):
    entry = Registry.build(plugins).get(runtime).runtime
    assert (entry.image, entry.transport) == (plugin.IMAGE, "stdio")
    assert entry.local.requires == entry.local.command[0] == "uvx"
    assert entry.description


def test_discord_needs_its_token(plugins):
    """B8"""
    made = plan(server("discord"), Registry.build(plugins), plugins)
    assert [problem.reason for problem in made.errors] == ["UnsupportedTransport", "MissingRequiredEnv"]
