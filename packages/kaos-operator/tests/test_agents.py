"""Agents and model APIs: they wait for what they need, are told of it, and change only when it matters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

AGENT, LITELLM = "example.test/agent:1", "example.test/litellm:1"


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_AGENT_IMAGE": AGENT, "KAOS_LITELLM_IMAGE": LITELLM}


@pytest.fixture(scope="module")
def served(served, module_node):
    program = [sys.executable, str(Path(__file__).parent / "programs" / "healthy.py"), "{port}"]
    for image in (AGENT, LITELLM):
        module_node.serve(image, program)
    return served


def model_api(served, name, **container):
    more = {"container": container} if container else {}
    config = {"models": ["openai/*", "gpt-4"]}
    return served.server(name, kind="ModelAPI", mode="Proxy", proxyConfig=config, **more)


def agent_env(served, name):
    pods = served.get("Deployment", f"agent-{name}")["spec"]["template"]["spec"]
    return {entry["name"]: entry for entry in pods["containers"][0]["env"]}


def test_an_agent_waits_for_its_servers_by_name_and_follows_them(served):
    spec = {"modelAPI": "llm", "mcpServers": ["tools"]}
    served.create(served.server("waiter", kind="Agent", **spec, waitForDependencies=True))
    told = served.until_condition("Agent", "waiter", "Ready", "False", "Waiting")
    assert "llm" in told["message"]
    assert "tools" in told["message"]
    assert served.get("Agent", "waiter")["status"]["phase"] == "Pending"
    assert served.get("Deployment", "agent-waiter") is None

    served.create(model_api(served, "llm"))
    served.create(served.server("tools"))
    served.until_ready("waiter", "Agent")

    env = agent_env(served, "waiter")
    assert env["MODEL_NAME"]["value"] == "gpt-4"
    assert env["MCP_SERVER_TOOLS_URL"]["value"] == "http://mcpserver-tools:8000"
    assert env["MODEL_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "modelapi-llm-token", "key": "token"}

    served.edit("MCPServer", "tools", replicas=0)
    served.until_condition("Agent", "waiter", "Ready", "False", "Waiting")
    served.edit("MCPServer", "tools", replicas=1)
    served.until_ready("waiter", "Agent")


def test_a_master_key_of_the_users_own_reaches_the_agent_by_reference(served):
    reference = {"secretKeyRef": {"name": "api-keys", "key": "litellm"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api-keys"}, "stringData": {"litellm": "sk-1"}}
    served.create(secret)
    served.create(model_api(served, "own-key", env=[{"name": "LITELLM_MASTER_KEY", "valueFrom": reference}]))
    served.create(served.server("keyed", kind="Agent", modelAPI="own-key", waitForDependencies=False))
    served.until_ready("keyed", "Agent")

    assert agent_env(served, "keyed")["MODEL_API_KEY"]["valueFrom"] == reference
    assert served.get("Secret", "modelapi-own-key-token") is None


def test_a_model_that_the_api_does_not_offer_is_refused_until_it_does(served):
    config = {"models": ["gpt-4"]}
    served.create(served.server("narrow", kind="ModelAPI", mode="Proxy", proxyConfig=config))
    served.create(served.server("asks", kind="Agent", modelAPI="narrow", model="claude"))
    told = served.until_condition("Agent", "asks", "Accepted", "False")
    assert "claude" in told["message"]

    served.edit("ModelAPI", "narrow", proxyConfig={"models": ["gpt-4", "claude"]})
    served.until_ready("asks", "Agent")
