"""The runtime `slack`: its entry, the token it asks for, and its manifests as a whole."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

import kaos_runtime_slack as plugin
from kaos_core.plan import Plan, plan
from kaos_core.registry import Registry
from kaos_core.testing import builtin_plugins, check_plugin, compare_golden, server

ENV = [
    {"name": "SLACK_BOT_TOKEN", "valueFrom": {"secretKeyRef": {"name": "slack", "key": "bot-token"}}},
    {"name": "SLACK_TEAM_ID", "value": "T0000000"},
]


def planned(**spec) -> Plan:
    plugins = builtin_plugins()
    plugins.register(plugin, "slack")
    return plan(server("slack", **spec), Registry.build(plugins), plugins)


def test_the_plugin_keeps_the_contract():
    assert len(check_plugin(plugin)) == 1


def test_its_manifests_are_the_golden_ones(request: pytest.FixtureRequest):
    made = planned(container={"env": ENV})
    update = request.config.getoption("--update-goldens", default=False)
    compare_golden(made, Path(__file__).parent / "golden" / "slack.yaml", update=update)
    for obj in made.objects:
        kubernetes_validate.validate(obj, "1.36", strict=True)


def test_the_entrypoint_of_the_image_stays():
    """C5: `command` would replace it by a flag."""
    container = planned(container={"env": ENV}).objects[-1]["spec"]["template"]["spec"]["containers"][0]
    assert "command" not in container
    assert container["args"] == ["--transport", "http", "--port", "8000"]


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ([], "SLACK_BOT_TOKEN, SLACK_TEAM_ID"),
        (ENV[:1], "SLACK_TEAM_ID"),
        ([{**ENV[1], "value": ""}, ENV[0]], "SLACK_TEAM_ID"),
    ],
)
def test_what_it_needs_is_asked_for_by_name(env, missing):
    """B8, B9"""
    (problem,) = planned(container={"env": env}).errors
    assert problem.reason == "MissingRequiredEnv"
    assert problem.message == f"runtime slack needs {missing} in container.env"


def test_its_token_is_generated_unless_the_user_gives_one():
    generated = planned(container={"env": ENV})
    assert (generated.token.secret, generated.token.env) == ("mcpserver-check-token", "AUTH_TOKEN")
    own = [*ENV, {"name": "AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "t"}}}]
    assert planned(container={"env": own}).token is None


def test_on_this_machine_it_runs_by_npx():
    process = planned(container={"env": ENV}).process
    assert process.argv == (
        "npx",
        "-y",
        "@zencoderai/slack-mcp-server@0.0.1",
        "--transport",
        "http",
        "--port",
        "{port}",
    )
    assert process.requires == "npx"
