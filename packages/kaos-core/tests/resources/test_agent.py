"""What an Agent may say, and what becomes of it as environment."""

from __future__ import annotations

import pytest

from kaos_core.errors import ResourceError
from kaos_core.kinds.agent import env_keys
from kaos_core.manifests.names import API_VERSION
from kaos_core.plan import plan
from kaos_core.resolve import Related


def agent(**spec):
    metadata = {"name": "helper", "namespace": "default"}
    return {"apiVersion": API_VERSION, "kind": "Agent", "metadata": metadata, "spec": {"modelAPI": "api", **spec}}


def environment(made) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in made.process.env}


def test_servers_and_peers_are_told_by_url(plugins, registry):
    related = Related(
        {
            ("ModelAPI", "api"): {"spec": {"proxyConfig": {"models": ["openai/*", "gpt-4"]}}},
            ("MCPServer", "other"): {"spec": {"transport": {"path": "/sse"}}},
        }
    )
    spec = {"mcpServers": ["calc", "other", "gone"], "allowedTools": {"calc": ["add", "sub"]}}
    made = plan(agent(agentNetwork={"access": ["peer"]}, **spec), registry, plugins, related)
    told = environment(made)
    assert told["MODEL_API_URL"] == "http://modelapi-api:8000"
    assert told["MODEL_NAME"] == "gpt-4"
    assert told["MCP_SERVERS"] == "calc,other,gone"
    assert told["MCP_SERVER_CALC_URL"] == "http://mcpserver-calc:8000"
    assert told["MCP_SERVER_CALC_TOOLS"] == "add,sub"
    assert told["MCP_SERVER_OTHER_URL"] == "http://mcpserver-other:8000/sse"
    assert told["MCP_SERVER_GONE_URL"] == "http://mcpserver-gone:8000"
    assert told["PEER_AGENT_PEER_CARD_URL"] == "http://agent-peer:8000"


@pytest.mark.parametrize("servers", [["a-b", "a.b"], ["a-b", "a.b", "a--b"], ["x", "y"]])
def test_names_that_would_meet_in_one_variable_get_different_ones(servers):
    """B80"""
    keys = env_keys(servers)
    assert len(set(keys.values())) == len(servers)
    assert keys == env_keys(servers[::-1])


def test_names_that_do_not_meet_stay_plain():
    assert env_keys(["my-mcp"]) == {"my-mcp": "MY_MCP"}


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({"mcpServers": ["a", "a"]}, "spec.mcpServers", "a server stands twice"),
        ({"config": {"env": []}}, "spec.config.env", "was removed: use spec.container.env"),
        ({"config": {"memory": {"redisUrl": "redis://u:p@h"}}}, "spec.config.memory.redisUrl", "is not"),
        ({"config": {"reasoningLoopMaxSteps": 21}}, "spec.config.reasoningLoopMaxSteps", "less than or equal to 20"),
        ({"modelApi": "x"}, "spec.modelApi", "unknown field"),
    ],
)
def test_a_refusal_names_the_field(plugins, registry, spec, path, says):
    with pytest.raises(ResourceError) as refused:
        plan(agent(**spec), registry, plugins)
    assert refused.value.problems[0].path == path
    assert says in str(refused.value)


def test_memory_is_told(plugins, registry):
    memory = {"type": "redis", "redisUrl": "redis://r:6379", "contextLimit": 3}
    told = environment(plan(agent(config={"memory": memory}), registry, plugins))
    assert (told["MEMORY_TYPE"], told["MEMORY_REDIS_URL"], told["MEMORY_CONTEXT_LIMIT"]) == (
        "redis",
        "redis://r:6379",
        "3",
    )
