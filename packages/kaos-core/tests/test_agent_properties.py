"""What holds for every valid Agent and ModelAPI, whatever else there is in the namespace."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from kaos_core.kinds.agent import references
from kaos_core.manifests.names import API_VERSION
from kaos_core.manifests.pod_security import violations
from kaos_core.plan import Plan, plan
from kaos_core.registry import Registry
from kaos_core.resolve import Related
from kaos_core.testing import builtin_plugins

NAMES = ["a", "a-b", "a.b", "b2"]
NAME = st.sampled_from(NAMES)
MODEL = st.sampled_from(["*", "openai/*", "gpt-4", "llama3:8b", "openai/gpt-4"])
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
REF = st.fixed_dictionaries({"name": NAME, "key": st.just("key")})
VALUE = st.fixed_dictionaries({"value": TEXT}) | st.builds(lambda ref: {"valueFrom": {"secretKeyRef": ref}}, REF)
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "image": st.just("mirror.example/x:1"),
        "env": st.dictionaries(st.sampled_from(["A", "AUTH_TOKEN", "LITELLM_MASTER_KEY", "MODEL_NAME"]), VALUE).map(
            lambda given: [{"name": name, **value} for name, value in given.items()]
        ),
    },
)
SECURITY = st.fixed_dictionaries({}, optional={"readOnlyRootFilesystem": st.booleans()})
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "ready": st.booleans(),
        "validation": st.fixed_dictionaries({"transportUsed": st.sampled_from(["sse", "streamable-http", ""])}),
    },
)
PROXY = st.fixed_dictionaries(
    {"mode": st.just("Proxy")},
    optional={
        "container": CONTAINER,
        "security": SECURITY,
        "proxyConfig": st.fixed_dictionaries(
            {},
            optional={
                "models": st.lists(MODEL, max_size=3),
                "provider": st.sampled_from(["openai", "anthropic"]),
                "apiBase": st.just("https://api.example/v1"),
                "apiKey": VALUE.filter(lambda value: value.get("value") != ""),
            },
        ),
    },
)
HOSTED = st.fixed_dictionaries(
    {"type": st.just("hosted"), "hostedConfig": st.just({"model": "llama3:8b"})},
    optional={"container": CONTAINER, "security": SECURITY},
)
SERVER = st.fixed_dictionaries(
    {"runtime": st.sampled_from(["foreign", "custom", "gone"]), "container": st.just({"image": "x.example/y:1"})},
    optional={
        "transport": st.fixed_dictionaries(
            {}, optional={"path": st.sampled_from(["/mcp", "/sse", "/"]), "protocol": st.sampled_from(["auto", "sse"])}
        ),
        "auth": st.builds(lambda ref: {"bearer": {"secretKeyRef": ref}}, REF),
        "headers": st.lists(st.builds(lambda value: {"name": "X-Key", **value}, VALUE), max_size=2),
    },
)
AGENT = st.fixed_dictionaries(
    {"modelAPI": NAME},
    optional={
        "model": st.sampled_from(["gpt-4", "openai/gpt-4", "llama3:8b"]),
        "mcpServers": st.lists(NAME, unique=True),
        "agentNetwork": st.fixed_dictionaries({"access": st.lists(NAME)}, optional={"expose": st.booleans()}),
        "config": st.fixed_dictionaries({}, optional={"instructions": TEXT, "description": TEXT}),
        "waitForDependencies": st.booleans(),
        "replicas": st.integers(0, 2),
        "container": CONTAINER,
        "security": SECURITY,
    },
)


def documents(kind: str, specs) -> st.SearchStrategy[dict]:
    """Some resources of a kind by `(kind, name)`."""
    one = st.builds(lambda spec, status: {"kind": kind, "spec": spec, "status": status}, specs, STATUS)
    return st.dictionaries(NAME.map(lambda name: (kind, name)), one, max_size=len(NAMES))


OTHERS = st.builds(
    lambda apis, servers, agents: {**apis, **servers, **agents},
    documents("ModelAPI", PROXY | HOSTED),
    documents("MCPServer", SERVER),
    documents("Agent", AGENT),
)


def planned(kind: str, spec: dict, others: dict) -> Plan:
    plugins = builtin_plugins()
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "it"}, "spec": copy.deepcopy(spec)}
    return plan(document, Registry.build(plugins), plugins, Related(copy.deepcopy(others)))


@settings(max_examples=60)
@given(AGENT, OTHERS)
def test_an_agent_is_planned_the_same_from_what_it_refers_to_alone(spec, others):
    """Nothing else in the namespace counts, so a change of anything else is no reason to plan it again."""
    made = planned("Agent", spec, others)
    referred = references({"spec": spec})
    assert made == planned("Agent", spec, {ref: others[ref] for ref in referred if ref in others})
    assert made == planned("Agent", spec, dict(reversed(others.items())))


@settings(max_examples=60)
@given(AGENT, OTHERS)
def test_an_agent_runs_waits_or_says_what_is_wrong(assert_valid, spec, others):
    made = planned("Agent", spec, others)
    assert bool(made.objects) + bool(made.waiting and not made.errors) + bool(made.errors) == 1
    for obj in made.objects:
        assert_valid(obj)
    if made.objects:
        check_pod(made)


@settings(max_examples=60)
@given(PROXY | HOSTED)
def test_a_model_api_runs_restricted_with_each_variable_once(assert_valid, spec):
    made = planned("ModelAPI", spec, {})
    assert made.errors == []
    for obj in made.objects:
        assert_valid(obj)
    check_pod(made)


def check_pod(made: Plan) -> None:
    pod = made.objects[-1]["spec"]["template"]["spec"]
    assert violations(pod, "restricted") == []
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        names = [entry["name"] for entry in container.get("env", [])]
        assert len(names) == len(set(names))
        for entry in container.get("env", []):
            assert ("value" in entry) != ("valueFrom" in entry), entry
