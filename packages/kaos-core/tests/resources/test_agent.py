"""What an Agent may say, and the environment that becomes of it and of the resources it refers to."""

from __future__ import annotations

import copy

import pytest

from kaos_core.errors import ResourceError
from kaos_core.kinds.agent import references
from kaos_core.kinds.agent_env import env_keys
from kaos_core.manifests.names import API_VERSION
from kaos_core.plan import plan
from kaos_core.plugin import Runtime, hookimpl
from kaos_core.registry import Registry
from kaos_core.resolve import Related

KEY = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "it"}}}
TOOLS = {"calc": ["add", "sub"]}


def document(kind: str, name: str, *, status=None, **spec):
    made = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    return made if status is None else {**made, "status": status}


def agent(**spec):
    return document("Agent", "helper", modelAPI="api", **spec)


def api(*models: str, **spec):
    return document("ModelAPI", "api", status={"ready": True}, mode="Proxy", proxyConfig={"models": [*models]}, **spec)


def mcp(name: str, *, runtime="foreign", transport_used="streamable-http", ready=True, **spec):
    status = {"ready": ready, "validation": {"transportUsed": transport_used}}
    return document("MCPServer", name, status=status, runtime=runtime, **spec)


def related(*documents) -> Related:
    return Related({(made["kind"], made["metadata"]["name"]): made for made in documents})


@pytest.fixture
def told(plugins):
    """The environment of an agent that refers to these documents: name -> value or valueFrom."""
    plugins.register(TokenPlugin(), "token")
    registry = Registry.build(plugins)

    def make(document, *others):
        made = plan(document, registry, plugins, related(*others))
        assert not made.errors, made.errors
        assert not made.waiting, made.waiting
        return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in made.process.env}

    return make


class TokenPlugin:
    """Runtimes that ask for a token, and that serve elsewhere than at /mcp."""

    @hookimpl
    def kaos_runtimes(self):
        return [
            Runtime(name="guarded", type="nodejs", image="registry.example/guarded:1", token_env="AUTH_TOKEN"),
            Runtime(name="elsewhere", type="go", image="registry.example/elsewhere:1", path="/sse"),
        ]


# The environment.


def test_everything_of_the_contract_is_told(told):
    config = {"description": "Helps", "instructions": "Be brief", "reasoningLoopMaxSteps": 7}
    spec = {"model": "gpt-4", "mcpServers": ["calc", "my-files"], "allowedTools": TOOLS, "config": config}
    network = {"agentNetwork": {"access": ["my-peer", "b"]}}
    assert told(agent(**spec, **network), api("gpt-4"), mcp("calc"), mcp("my-files")) == {
        "AGENT_NAME": "helper",
        "AGENT_DESCRIPTION": "Helps",
        "AGENT_INSTRUCTIONS": "Be brief",
        "MODEL_API_URL": "http://modelapi-api:8000",
        "MODEL_NAME": "gpt-4",
        "MODEL_API_KEY": {"secretKeyRef": {"name": "modelapi-api-token", "key": "token"}},
        "AGENTIC_LOOP_MAX_STEPS": "7",
        "MCP_SERVERS": "calc,my-files",
        "MCP_SERVER_CALC_URL": "http://mcpserver-calc:8000",
        "MCP_SERVER_calc_URL": "http://mcpserver-calc:8000",
        "MCP_SERVER_CALC_TOOLS": "add,sub",
        "MCP_SERVER_MY_FILES_URL": "http://mcpserver-my-files:8000",
        "MCP_SERVER_my-files_URL": "http://mcpserver-my-files:8000",
        "PEER_AGENTS": "my-peer,b",
        "PEER_AGENT_MY_PEER_CARD_URL": "http://agent-my-peer:8000",
        "PEER_AGENT_B_CARD_URL": "http://agent-b:8000",
    }


def test_memory_is_told(told):
    memory = {"type": "redis", "redisUrl": "redis://r:6379", "contextLimit": 3}
    seen = told(agent(config={"memory": memory}), api("m"))
    assert {name: value for name, value in seen.items() if name.startswith("MEMORY")} == {
        "MEMORY_ENABLED": "true",
        "MEMORY_TYPE": "redis",
        "MEMORY_CONTEXT_LIMIT": "3",
        "MEMORY_MAX_SESSIONS": "1000",
        "MEMORY_MAX_SESSION_EVENTS": "500",
        "MEMORY_REDIS_URL": "redis://r:6379",
    }


def test_the_agent_s_own_environment_has_the_last_word(told):
    env = [{"name": "MODEL_NAME", "value": "mine"}, {"name": "MODEL_API_KEY", "value": "k"}]
    seen = told(agent(container={"env": env}), api("m"))
    assert (seen["MODEL_NAME"], seen["MODEL_API_KEY"]) == ("mine", "k")


def test_text_reaches_the_agent_as_it_was_written(plugins, registry, main_container):
    """The kubelet reads `$(NAME)` and `$$` in values."""
    text = "use $(MODEL_NAME), costs $$5, $é and $"
    config = {"config": {"instructions": text}, "container": {"env": [{"name": "MINE", "value": "$(AGENT_NAME)"}]}}
    made = plan(agent(**config), registry, plugins)
    values = {entry["name"]: entry.get("value") for entry in main_container(made)["env"]}
    assert values["AGENT_INSTRUCTIONS"] == "use $$(MODEL_NAME), costs $$$$5, $$é and $$"
    assert values["MINE"] == "$(AGENT_NAME)"
    assert {"name": "AGENT_INSTRUCTIONS", "value": text} in made.process.env


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (mcp("calc"), "http://mcpserver-calc:8000"),
        (mcp("calc", transport={"path": "/mcp"}), "http://mcpserver-calc:8000"),
        (mcp("calc", transport={"path": "/"}), "http://mcpserver-calc:8000/"),
        (mcp("calc", transport={"port": 3001, "path": "/sse"}), "http://mcpserver-calc:8000/sse"),
        (mcp("calc", runtime="elsewhere"), "http://mcpserver-calc:8000/sse"),
        (mcp("calc", runtime="elsewhere", transport={"path": "/mcp"}), "http://mcpserver-calc:8000"),
    ],
)
def test_a_server_s_path_is_its_own_or_its_runtime_s(told, server, url):
    assert told(agent(mcpServers=["calc"]), api("m"), server)["MCP_SERVER_CALC_URL"] == url


@pytest.mark.parametrize(
    ("server", "transport"),
    [
        (mcp("calc"), None),
        (mcp("calc", transport_used="sse"), "sse"),
        (mcp("calc", transport={"protocol": "sse"}), "sse"),
        (mcp("calc", transport={"protocol": "streamable-http"}, transport_used="sse"), None),
    ],
)
def test_an_agent_is_told_which_transport_answered(told, server, transport):
    assert told(agent(mcpServers=["calc"]), api("m"), server).get("MCP_SERVER_CALC_TRANSPORT") == transport


def test_an_agent_that_does_not_wait_does_not_change_with_what_answers(told):
    servers = {"mcpServers": ["calc"], "waitForDependencies": False}
    down, up = mcp("calc", ready=False), mcp("calc", transport_used="sse")
    del down["status"]["validation"]
    assert told(agent(**servers), api("m"), down) == told(agent(**servers), api("m"), up)


BEARER = {"bearer": {"secretKeyRef": {"name": "s", "key": "k"}}}
GENERATED = {"secretKeyRef": {"name": "mcpserver-calc-token", "key": "token"}}


@pytest.mark.parametrize(
    ("server", "token"),
    [
        (mcp("calc"), None),
        (mcp("calc", runtime="guarded"), GENERATED),
        (mcp("calc", runtime="guarded", auth=BEARER), BEARER["bearer"]),
        (mcp("calc", auth=BEARER), BEARER["bearer"]),
        (mcp("calc", runtime="guarded", container={"env": [{"name": "AUTH_TOKEN", **KEY}]}), KEY["valueFrom"]),
        (mcp("calc", runtime="guarded", auth=BEARER, container={"env": [{"name": "AUTH_TOKEN", "value": "x"}]}), "x"),
        (mcp("calc", container={"env": [{"name": "AUTH_TOKEN", "value": "x"}]}), None),
    ],
)
def test_an_agent_has_the_token_that_its_server_asks_for(told, server, token):
    assert told(agent(mcpServers=["calc"]), api("m"), server).get("MCP_SERVER_CALC_TOKEN") == token


def test_the_server_has_the_token_that_its_agents_send(told, plugins):
    """Both halves of one contract: what the agent is told is what the server's plan generates."""
    server = mcp("calc", runtime="guarded")
    token = told(agent(mcpServers=["calc"]), api("m"), server)["MCP_SERVER_CALC_TOKEN"]
    made = plan(server, Registry.build(plugins), plugins)
    assert token == {"secretKeyRef": {"name": made.token.secret, "key": made.token.key}}


def test_headers_are_told_by_number(told):
    headers = [{"name": "X-Team", "value": "blue"}, {"name": "X-Key", **KEY}, {"name": "X-Empty", "value": ""}]
    seen = told(agent(mcpServers=["calc"]), api("m"), mcp("calc", headers=headers))
    assert seen["MCP_SERVER_CALC_HEADERS"] == "X-Team,X-Key,X-Empty"
    assert seen["MCP_SERVER_CALC_HEADERS_0"] == "blue"
    assert seen["MCP_SERVER_CALC_HEADERS_1"] == KEY["valueFrom"]
    assert "MCP_SERVER_CALC_HEADERS_2" not in seen


@pytest.mark.parametrize(
    ("model_api", "key"),
    [
        (api("m"), {"secretKeyRef": {"name": "modelapi-api-token", "key": "token"}}),
        (api("m", container={"env": [{"name": "LITELLM_MASTER_KEY", **KEY}]}), KEY["valueFrom"]),
        (api("m", container={"env": [{"name": "LITELLM_MASTER_KEY", "value": "sk-1"}]}), "sk-1"),
        (
            document("ModelAPI", "api", status={"ready": True}, mode="Hosted", hostedConfig={"model": "m"}),
            None,
        ),
    ],
)
def test_an_agent_has_the_key_that_its_model_api_asks_for(told, model_api, key):
    assert told(agent(), model_api).get("MODEL_API_KEY") == key


# The model.


@pytest.mark.parametrize(
    ("offered", "model"),
    [
        (["gpt-4", "gpt-3.5-turbo"], "gpt-4"),
        (["*", "openai/*", "gpt-4"], "gpt-4"),
    ],
)
def test_without_a_model_it_is_the_first_that_is_no_wildcard(told, offered, model):
    assert told(agent(), api(*offered))["MODEL_NAME"] == model


@pytest.mark.parametrize("offered", [["openai/*"], ["*"], []])
def test_without_a_model_a_model_api_must_name_one(plugins, registry, offered):
    made = plan(agent(), registry, plugins, related(api(*offered)))
    (problem,) = made.errors
    assert (problem.reason, problem.path, problem.hint) == ("InvalidParams", "spec.model", "give spec.model")
    assert "names no model to take" in problem.message
    assert made.objects == ()


@pytest.mark.parametrize(
    ("offered", "model"),
    [
        (["gpt-4"], "gpt-4"),
        (["a", "openai/*"], "openai/gpt-4"),
        (["openrouter/*"], "openrouter/openai/gpt-4"),
        (["*"], "anything:8b"),
        ([], "anything:8b"),
    ],
)
def test_a_model_that_is_offered_is_taken(told, offered, model):
    assert told(agent(model=model), api(*offered))["MODEL_NAME"] == model


@pytest.mark.parametrize("model", ["gpt-5", "gpt", "openai", "xopenai/gpt-4", "gpt-4x"])
def test_a_model_that_is_not_offered_is_an_error(plugins, registry, model):
    offered = ["gpt-4", "openai/*", "anthropic/*"]
    made = plan(agent(model=model), registry, plugins, related(api(*offered)))
    (problem,) = made.errors
    assert problem.reason == "InvalidParams"
    assert str(problem) == (
        f'spec.model: model "{model}" not supported by ModelAPI "api" (supported: [gpt-4, openai/*, anthropic/*])'
    )


def test_the_model_is_in_the_details_that_the_status_shows(plugins, registry):
    assert plan(agent(), registry, plugins, related(api("gpt-4"))).details == {"model": "gpt-4"}


# What it waits for.


def test_references_are_the_model_api_the_servers_and_the_peers():
    made = agent(mcpServers=["a", "b"], agentNetwork={"access": ["helper", "peer"]})
    assert references(made) == (
        ("ModelAPI", "api"),
        ("MCPServer", "a"),
        ("MCPServer", "b"),
        ("Agent", "helper"),
        ("Agent", "peer"),
    )
    assert references({}) == references({"spec": None}) == ()


def test_every_kind_says_what_it_refers_to(plugins):
    kinds = plugins.kinds()
    assert kinds["MCPServer"].references(mcp("a")) == kinds["ModelAPI"].references(api("m")) == ()
    assert kinds["Agent"].references is references


def test_an_agent_waits_for_what_is_missing_or_not_ready(plugins, registry):
    not_ready = api("m")
    not_ready["status"]["ready"] = False
    made = plan(
        agent(mcpServers=["up", "down", "gone"]),
        registry,
        plugins,
        related(not_ready, mcp("up"), mcp("down", ready=False)),
    )
    assert made.waiting == (
        "ModelAPI api is not ready",
        "MCPServer down is not ready",
        "MCPServer gone does not exist",
    )
    assert (made.objects, made.process, made.token, made.errors) == ((), None, None, [])


def test_a_new_dependency_has_no_status_yet(plugins, registry):
    server = mcp("calc")
    del server["status"]
    assert plan(agent(mcpServers=["calc"]), registry, plugins, related(api("m"), server)).waiting == (
        "MCPServer calc is not ready",
    )


def test_an_agent_that_does_not_wait_is_planned_at_once(plugins, registry):
    made = plan(agent(model="m", mcpServers=["gone"], waitForDependencies=False), registry, plugins, Related())
    assert made.waiting == ()
    assert {"name": "MCP_SERVER_GONE_URL", "value": "http://mcpserver-gone:8000"} in made.process.env


def test_an_agent_without_a_model_waits_for_the_model_api_that_names_it(plugins, registry):
    made = plan(agent(waitForDependencies=False), registry, plugins, Related())
    assert made.waiting == ("ModelAPI api does not exist",)


def test_an_agent_that_shall_not_run_waits_for_nothing(plugins, registry):
    made = plan(agent(replicas=0, model="m", mcpServers=["gone"]), registry, plugins, Related())
    assert made.waiting == ()
    assert made.objects[-1]["spec"]["replicas"] == 0


def test_an_error_is_told_before_anything_is_waited_for(plugins, registry):
    not_ready = api("gpt-4")
    del not_ready["status"]
    made = plan(agent(model="gpt-5"), registry, plugins, related(not_ready))
    assert [problem.reason for problem in made.errors] == ["InvalidParams"]


def test_peers_may_name_each_other_and_themselves(plugins, registry):
    """B81: nobody waits for a peer, so no cycle can stop them."""
    made = plan(agent(agentNetwork={"access": ["other", "helper"]}), registry, plugins, related(api("m")))
    assert made.waiting == ()
    assert {"name": "PEER_AGENTS", "value": "other,helper"} in made.process.env


def test_a_peer_that_takes_no_calls_is_left_out_with_a_warning(plugins, registry):
    shy = document("Agent", "shy", modelAPI="api", agentNetwork={"expose": False})
    made = plan(agent(agentNetwork={"access": ["shy", "other"]}), registry, plugins, related(api("m"), shy))
    (warning,) = made.problems
    assert (warning.reason, warning.severity) == ("PeerNotExposed", "warning")
    assert "Agent shy takes no calls" in warning.message
    told = {entry["name"]: entry.get("value") for entry in made.process.env}
    assert told["PEER_AGENTS"] == "other"
    assert "PEER_AGENT_SHY_CARD_URL" not in told


def test_a_dry_run_waits_for_nothing(plugins, registry):
    made = plan(agent(mcpServers=["calc"]), registry, plugins)
    assert (made.waiting, made.errors) == ((), [])
    assert made.objects


CHANGES = [
    ("MCPServer", {"spec": {"params": "other"}}),
    ("MCPServer", {"spec": {"replicas": 3, "container": {"env": [{"name": "X", "value": "1"}]}}}),
    ("MCPServer", {"status": {"availableTools": ["new"], "message": "x", "readyReplicas": 2, "conditions": [{}]}}),
    ("MCPServer", {"status": {"validation": {"protocolVersion": "2027-01-01", "transportUsed": "streamable-http"}}}),
    ("MCPServer", {"metadata": {"resourceVersion": "77", "generation": 9, "labels": {"a": "b"}}}),
    ("ModelAPI", {"spec": {"container": {"resources": {"limits": {"memory": "1Gi"}}}}}),
    ("ModelAPI", {"spec": {"proxyConfig": {"models": ["gpt-4", "more"], "apiBase": "http://other"}}}),
    ("ModelAPI", {"status": {"replicas": 2, "observedGeneration": 4, "models": ["gpt-4"]}}),
    ("Agent", {"spec": {"config": {"description": "other"}}, "status": {"ready": False}}),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES)
def test_what_an_agent_does_not_use_of_its_dependencies_does_not_change_its_plan(plugins, registry, kind, change):
    """F38"""
    spec = agent(mcpServers=["calc"], agentNetwork={"access": ["peer"]})
    documents = [api("gpt-4"), mcp("calc"), document("Agent", "peer", modelAPI="api")]
    before = plan(spec, registry, plugins, related(*documents))
    assert before.objects
    changed = [merged(made, change) if made["kind"] == kind else made for made in documents]
    assert changed != documents
    assert plan(spec, registry, plugins, related(*changed)) == before


def merged(value, change):
    """A document with some of its fields changed."""
    if not (isinstance(value, dict) and isinstance(change, dict)):
        return change
    made = copy.deepcopy(value)
    for key, inner in change.items():
        made[key] = merged(made.get(key), inner)
    return made


# Names and refusals.


@pytest.mark.parametrize(
    "servers",
    [["a-b", "a.b"], ["a-b", "a.b", "a--b"], ["x", "y"], ["a-b", "a.b", "a-b-d44362d6"]],
)
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
        (
            {"mcpServers": ["calc"], "allowedTools": {"clac": ["add"]}},
            "spec",
            "allowedTools names a server that mcpServers does not",
        ),
        ({"mcpServers": ["calc"], "allowedTools": {"calc": []}}, "spec.allowedTools.calc", "at least 1 item"),
        ({"mcpServers": ["calc"], "allowedTools": {"calc": ["a,b"]}}, "spec.allowedTools.calc[0]", "is not text like"),
    ],
)
def test_a_refusal_names_the_field(plugins, registry, spec, path, says):
    with pytest.raises(ResourceError) as refused:
        plan(agent(**spec), registry, plugins)
    assert refused.value.problems[0].path == path
    assert says in str(refused.value)
