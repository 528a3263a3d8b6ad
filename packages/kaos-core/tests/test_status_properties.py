"""What holds for every observation: status is pure, bounded, within its closed lists, and Ready never lies."""

from __future__ import annotations

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kaos_core import conditions as c
from kaos_core.crd import structural
from kaos_core.errors import Problem
from kaos_core.kinds.mcpserver import KIND
from kaos_core.observed import Handshake, Observed
from kaos_core.plan import plan
from kaos_core.registry import Registry
from kaos_core.status import status
from kaos_core.testing import builtin_plugins, server

REASONS = sorted({reason for reasons in c.REASONS.values() for reason in reasons})
TRUE_WORDS = {"Accepted", "Resolved", "Programmed", "Ready", "ToolsDiscovered"}
LETTERS = st.characters()
TEXT = st.text(LETTERS, max_size=30) | st.builds(lambda letter, n: letter * n, LETTERS, st.sampled_from([200, 3000]))
PROBLEM = st.builds(Problem, st.sampled_from([*REASONS, "OwnWord"]), TEXT, hint=st.just("") | TEXT)
COUNT = st.integers(0, 3)
HANDSHAKE = st.builds(
    Handshake,
    outcome=st.sampled_from(["ok", "ok", "auth", "failed", "timeout", "too-large", "redirected", "unsupported"]),
    message=TEXT,
    transport=st.sampled_from(["streamable-http", "sse", ""]),
    protocol_version=TEXT,
    server_name=TEXT,
    server_version=TEXT,
    capabilities=st.lists(TEXT, max_size=12).map(tuple),
    tools=st.none() | st.lists(TEXT, max_size=4).map(tuple) | st.integers(0, 600).map(lambda n: ("t" * 60,) * n),
)
OBSERVED = st.builds(
    Observed,
    generation=st.none() | st.integers(1, 2),
    desired=st.integers(0, 2),
    replicas=COUNT,
    ready=COUNT,
    available=COUNT,
    updated=COUNT,
    deployment_conditions=st.lists(
        st.fixed_dictionaries({"type": TEXT, "status": st.just("True"), "reason": TEXT, "message": TEXT}), max_size=6
    ).map(tuple),
    restarts=COUNT,
    exit_code=st.none() | st.sampled_from([0, 1, 78]),
    last_line=TEXT | st.builds("{}: {}".format, st.sampled_from(REASONS), TEXT),
    waiting=st.sampled_from(["", "ImagePullBackOff", "CrashLoopBackOff"]) | TEXT,
    waiting_message=TEXT,
    rollout_failed=st.just("") | TEXT,
    references=st.lists(PROBLEM, max_size=3).map(tuple),
    programmed=st.none() | PROBLEM,
    handshake=st.none() | HANDSHAKE,
    deleting=st.booleans(),
)
# Half of all observations are of something that could be ready, so that Ready=True is met often.
LIVE = st.builds(
    Observed,
    generation=st.integers(1, 2),
    desired=st.integers(1, 2),
    replicas=st.integers(1, 2),
    ready=st.just(2),
    available=st.integers(1, 2),
    updated=st.integers(1, 2),
    handshake=st.none() | HANDSHAKE,
)
SCHEMA = structural(KIND.load_status_model())
PLUGINS = builtin_plugins()
REGISTRY = Registry.build(PLUGINS)
MANY_WARNINGS = [{"name": f"KEY_{n}", "value": "sk-" + "0" * 20} for n in range(30)]


def made_plan(runtime: str, generation: int, spec: dict):
    document = server(runtime, **spec)
    document["metadata"]["generation"] = generation
    return plan(document, REGISTRY, PLUGINS)


PLAN = st.builds(
    made_plan,
    st.sampled_from(["foreign", "foreign", "foreign", "nothing"]),
    st.integers(1, 2),
    st.sampled_from(
        [
            {},
            {"validation": {"enabled": False}},
            {"transport": {"path": "/" + "p" * 1000}},
            {"transport": {"path": "/" + "p" * 1000}, "container": {"env": MANY_WARNINGS}},
        ]
    ),
)


@settings(max_examples=400)
@given(PLAN, OBSERVED | LIVE, OBSERVED | LIVE)
def test_a_status_is_pure_bounded_and_true(made, observed, earlier):
    previous = status(made, earlier, None, "2026-01-01T00:00:00Z")
    before = copy.deepcopy((observed, previous))
    now = status(made, observed, previous, "2026-02-02T00:00:00Z")
    assert now == status(made, observed, copy.deepcopy(previous), "2026-02-02T00:00:00Z")
    assert (observed, previous) == before
    assert status(made, observed, now, "2026-03-03T00:00:00Z") == now

    assert len(json.dumps(now, ensure_ascii=False).encode()) <= 8192
    Draft202012Validator(SCHEMA).validate(now)

    found = {entry["type"]: entry for entry in now["conditions"]}
    assert list(found) == list(c.REASONS)
    for entry in found.values():
        assert entry["reason"] in (TRUE_WORDS if entry["status"] == "True" else REASONS)
        assert len(entry["message"].encode()) <= 1024
        assert "\n" not in entry["message"]
        assert entry["observedGeneration"] == made.resource.metadata.generation

    ready = found[c.READY]
    assert now["ready"] == (ready["status"] == "True") == (now["phase"] == "Ready") == (now["message"] == "")
    if now["ready"]:
        assert observed.generation == made.resource.metadata.generation
        assert min(observed.available, observed.updated) >= observed.desired > 0
        wanted = made.resource.spec.validation is None or made.resource.spec.validation.enabled
        assert not wanted or (observed.handshake and observed.handshake.outcome in ("ok", "auth"))
        assert made.errors == []
        assert not observed.references
        assert observed.programmed is None
        assert not observed.deleting
    above = [found[name] for name in (c.ACCEPTED, c.RESOLVED_REFS, c.PROGRAMMED) if found[name]["status"] == "False"]
    if above:
        assert now["phase"] == "Failed"
        assert ready["reason"] == above[0]["reason"]
    elif not now["ready"]:
        assert now["phase"] == ("Pending" if ready["reason"] in c.PENDING else "Failed")

    old = {entry["type"]: entry for entry in previous["conditions"]}
    for name, entry in found.items():
        moved = entry["lastTransitionTime"] != old[name]["lastTransitionTime"]
        assert moved == (entry["status"] != old[name]["status"])
