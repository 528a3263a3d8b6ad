"""Status: each observation gives the one condition, reason and phase that is true, and Ready says why not."""

from __future__ import annotations

import json

import pytest

from kaos_core import conditions as c
from kaos_core.errors import Problem
from kaos_core.manifests.names import API_VERSION
from kaos_core.observed import Handshake, Observed
from kaos_core.resolve import Related
from kaos_core.status import status
from kaos_core.testing import server

NOW = "2026-11-21T00:00:00Z"
OK = Handshake("ok", "", "streamable-http", "2026-07-28", "calc", "1.0", ("tools",), ("add", "sub"))


def running(**more) -> Observed:
    """One replica of generation 1, available and answering."""
    counts = {"replicas": 1, "ready": 1, "available": 1, "updated": 1}
    return Observed(**{"generation": 1, **counts, "handshake": OK, **more})


@pytest.fixture
def observe(planned):
    def make(observed: Observed, spec=None, runtime="foreign", previous=None, now=NOW) -> dict:
        return status(planned(server(runtime, **(spec or {}))), observed, previous, now)

    return make


def condition(made: dict, name: str) -> tuple[str, str]:
    (found,) = [entry for entry in made["conditions"] if entry["type"] == name]
    return found["status"], found["reason"]


def message(made: dict, name: str) -> str:
    return next(entry["message"] for entry in made["conditions"] if entry["type"] == name)


def test_a_server_that_runs_and_answers_is_ready(observe):
    made = observe(running())
    assert (made["phase"], made["ready"], made["state"], made["message"]) == ("Ready", True, "Running", "")
    assert [(e["type"], e["status"]) for e in made["conditions"]] == [(n, "True") for n in c.REASONS]
    assert made["availableTools"] == ["add", "sub"]
    assert message(made, c.TOOLS_DISCOVERED) == "2 tools"
    assert made["endpoint"] == "http://mcpserver-check.default.svc.cluster.local:8000"
    assert made["serviceEndpoint"] == made["endpoint"] + "/mcp"
    assert made["serverInfo"] == {"name": "calc", "version": "1.0"}
    assert made["validation"] == {
        "state": "Compliant",
        "compliant": True,
        "protocolVersion": "2026-07-28",
        "transportUsed": "streamable-http",
        "requiresAuth": False,
        "capabilities": ["tools"],
    }
    assert made["deployment"]["availableReplicas"] == made["replicas"] == made["readyReplicas"] == 1
    assert made["observedGeneration"] == 1


FAILED = [
    (
        {"waiting": "ImagePullBackOff", "waiting_message": "no such image"},
        "ImagePullFailed",
        "ImagePullBackOff: no such image",
    ),
    ({"exit_code": 1, "restarts": 3, "last_line": "boom"}, "CrashLoop", "the program exited with 1, 3 restarts: boom"),
    ({"exit_code": 78, "last_line": "InvalidCode: line 3: bad"}, "InvalidCode", "line 3: bad"),
    ({"exit_code": 78, "last_line": "ImportError: missing"}, "ImportError", "missing"),
    ({"exit_code": 78, "last_line": "NoTools: nothing"}, "NoTools", "nothing"),
    ({"exit_code": 78, "last_line": "Excuse: none"}, "CrashLoop", "the program exited with 78: Excuse: none"),
    ({"exit_code": 78, "last_line": "Progressing: soon"}, "CrashLoop", "the program exited with 78: Progressing: soon"),
    ({"rollout_failed": "deadline exceeded"}, "RolloutFailed", "deadline exceeded"),
    ({"programmed": Problem("NoLocalRuntime", "no podman")}, "NoLocalRuntime", "no podman"),
]


@pytest.mark.parametrize(("seen", "reason", "says"), FAILED)
def test_what_does_not_run_has_failed_for_a_reason(observe, seen, reason, says):
    made = observe(Observed(generation=1, **seen))
    assert condition(made, c.READY) == ("False", reason)
    assert (made["phase"], made["state"], made["ready"]) == ("Failed", "Failed", False)
    assert made["message"] == message(made, c.READY) == says
    assert condition(made, c.TOOLS_DISCOVERED)[0] == "Unknown"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("failed", "ProbeFailed"),
        ("timeout", "ProbeTimeout"),
        ("too-large", "ProbeTooLarge"),
        ("redirected", "ProbeRedirected"),
        ("unsupported", "ProtocolUnsupported"),
    ],
)
def test_a_server_that_answers_wrongly_is_not_ready(observe, outcome, reason):
    made = observe(running(handshake=Handshake(outcome, "seen this")))
    assert condition(made, c.READY) == ("False", reason)
    assert (made["phase"], made["state"]) == ("Failed", "ValidationFailed")
    assert "validation" not in made


@pytest.mark.parametrize(
    ("observed", "reason", "state"),
    [
        (Observed(), "Progressing", "Creating"),
        (running(generation=None), "Progressing", "Scaling"),
        (running(available=0, ready=0), "Progressing", "Creating"),
        (running(desired=2), "Progressing", "Scaling"),
        (running(replicas=2), "Progressing", "Scaling"),
        (running(handshake=None), "Progressing", "Scaling"),
        (running(deleting=True), "Progressing", "Terminating"),
        (running(desired=0), "ScaledToZero", "Scaling"),
    ],
)
def test_what_time_or_the_user_explains_is_pending(observe, observed, reason, state):
    """B42 for ScaledToZero."""
    made = observe(observed)
    assert condition(made, c.READY) == ("False", reason)
    assert (made["phase"], made["state"]) == ("Pending", state)


def test_the_pods_of_an_older_spec_do_not_make_the_new_one_ready(planned):
    document = server("foreign")
    document["metadata"]["generation"] = 2
    made = status(planned(document), running(), None, NOW)
    assert condition(made, c.PROGRAMMED) == ("Unknown", "Progressing")
    assert condition(made, c.READY) == ("False", "Progressing")
    assert made["observedGeneration"] == 2


def test_a_server_that_asks_for_credentials_is_ready_and_says_so(observe):
    made = observe(running(handshake=Handshake("auth", "401", "streamable-http")))
    assert condition(made, c.READY)[0] == "True"
    assert condition(made, c.TOOLS_DISCOVERED) == ("Unknown", "AuthRequired")
    assert (made["validation"]["state"], made["validation"]["requiresAuth"]) == ("AuthRequired", True)
    assert made["availableTools"] == []


def test_tools_that_could_not_be_listed_are_not_discovered(observe):
    made = observe(running(handshake=Handshake("ok", "tools/list: 500")))
    assert condition(made, c.TOOLS_DISCOVERED) == ("False", "ProbeFailed")
    assert (made["validation"]["state"], made["validation"]["compliant"]) == ("NonCompliant", False)


def test_without_validation_available_pods_are_ready(observe):
    made = observe(running(handshake=None), spec={"validation": {"enabled": False}})
    assert condition(made, c.READY) == ("True", "Ready")
    assert condition(made, c.TOOLS_DISCOVERED) == ("Unknown", "Progressing")


def test_a_failing_container_beside_available_ones_is_not_the_servers_failure(observe):
    assert observe(running(exit_code=1, waiting="ImagePullBackOff"))["ready"] is True


@pytest.mark.parametrize(
    ("runtime", "observed", "name", "reason"),
    [
        ("nothing", Observed(), c.ACCEPTED, "UnknownRuntime"),
        ("weather", Observed(), c.RESOLVED_REFS, "MissingRequiredEnv"),
        ("foreign", running(references=(Problem("SecretNotFound", "no Secret a"),)), c.RESOLVED_REFS, "SecretNotFound"),
        ("foreign", running(references=(Problem("Forbidden", "may not look"),)), c.RESOLVED_REFS, "Forbidden"),
        ("foreign", running(programmed=Problem("NameConflict", "it is another's")), c.PROGRAMMED, "NameConflict"),
        ("foreign", running(programmed=Problem("InvalidPodSpec", "422")), c.PROGRAMMED, "InvalidPodSpec"),
    ],
)
def test_a_condition_that_is_false_fails_the_phase_and_gives_ready_its_reason(observe, runtime, observed, name, reason):
    made = observe(observed, runtime=runtime)
    assert condition(made, name) == condition(made, c.READY) == ("False", reason)
    assert (made["phase"], made["ready"], made["state"]) == ("Failed", False, "Failed")
    assert made["message"] == message(made, name)
    later = list(c.REASONS)[list(c.REASONS).index(name) + 1 : 3]
    assert [condition(made, after) for after in later] == [("Unknown", reason)] * len(later)


def test_a_plugins_own_word_stays_inside_the_closed_list(plugins, planned):
    from kaos_core.plugin import hookimpl

    class Strict:
        @hookimpl
        def kaos_validate(self, server, runtime):
            return [Problem("TooEarly", "come back later"), Problem("ProbeFailed", "and this")]

    plugins.register(Strict(), "strict")
    made = status(planned(server("foreign")), running(), None, NOW)
    assert condition(made, c.ACCEPTED) == ("False", "PluginFailed")
    assert message(made, c.ACCEPTED) == "TooEarly: come back later (and 1 more: and this)"


def test_the_hint_of_a_problem_is_in_the_message(observe):
    assert observe(Observed(), runtime="forein")["message"].endswith(". Did you mean foreign?")


def test_a_transition_time_moves_only_with_the_status(observe):
    first = observe(Observed(), now="2026-01-01T00:00:00Z")
    again = observe(Observed(), previous=first, now="2026-02-02T00:00:00Z")
    assert again == first
    ready = observe(running(), previous=again, now="2026-03-03T00:00:00Z")
    times = {entry["type"]: entry["lastTransitionTime"][:7] for entry in ready["conditions"]}
    assert times == {
        "Accepted": "2026-01",
        "ResolvedRefs": "2026-01",
        "Programmed": "2026-03",
        "Ready": "2026-03",
        "ToolsDiscovered": "2026-03",
    }


def test_a_target_may_say_where_it_can_be_reached(observe):
    made = observe(running(endpoint="http://127.0.0.1:4001"))
    assert (made["endpoint"], made["serviceEndpoint"]) == ("http://127.0.0.1:4001", "http://127.0.0.1:4001/mcp")


def test_tools_beyond_the_limit_are_counted_and_the_first_listed(observe):
    tools = tuple(f"tool_{number:04}" for number in range(2000))
    made = observe(running(handshake=Handshake("ok", tools=tools)))
    assert 100 < len(made["availableTools"]) < 2000
    assert made["availableTools"] == list(tools[: len(made["availableTools"])])
    assert message(made, c.TOOLS_DISCOVERED) == "2000 tools"
    assert len(json.dumps(made).encode()) <= 8192


def test_text_of_programs_is_one_printable_line(observe):
    made = observe(Observed(generation=1, exit_code=1, last_line="a\x1b[31m\x00b\n\tc\ud800 \u202e d"))
    assert made["message"] == "the program exited with 1: a [31m b c d"


def test_an_agent_needs_no_handshake(planned):
    document = {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "a"},
        "spec": {"modelAPI": "m"},
    }
    made = status(planned(document), running(handshake=None), None, NOW)
    assert made["ready"] is True
    assert [entry["type"] for entry in made["conditions"]] == [c.ACCEPTED, c.RESOLVED_REFS, c.PROGRAMMED, c.READY]
    assert "availableTools" not in made


def test_every_reason_belongs_to_a_condition():
    for reasons in c.REASONS.values():
        for reason in reasons:
            assert reason in c.REASONS[c.condition_of(reason)]
    with pytest.raises(KeyError):
        c.condition_of("NoSuchReason")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ({"waiting": "ImagePullBackOff", "waiting_message": "no such image"}, "ImagePullFailed"),
        ({"exit_code": 78, "last_line": "InvalidCode: line 3: bad"}, "InvalidCode"),
    ],
)
def test_a_new_pod_that_fails_is_told_while_the_old_one_serves(observe, failure, reason):
    made = observe(running(replicas=2, **failure))
    assert (made["phase"], made["ready"], condition(made, c.READY)) == ("Failed", False, ("False", reason))


def test_what_ended_before_is_no_news_once_the_rollout_is_complete(observe):
    assert observe(running(exit_code=137, restarts=1, last_line="killed"))["phase"] == "Ready"


WAITING = ("ModelAPI api is not ready", "MCPServer calc does not exist")


@pytest.fixture
def observe_waiting(planned):
    """The status of an agent that waits for both of its dependencies."""
    agent = {"apiVersion": API_VERSION, "kind": "Agent", "metadata": {"name": "a"}}
    spec = {"modelAPI": "api", "mcpServers": ["calc"], "model": "m"}
    api = {"kind": "ModelAPI", "spec": {"mode": "Proxy"}, "status": {"ready": False}}

    def make(observed: Observed, previous=None) -> dict:
        made = planned({**agent, "spec": spec}, related=Related({("ModelAPI", "api"): api}))
        assert made.waiting == WAITING
        return status(made, observed, previous, NOW)

    return make


def test_what_waits_is_pending_and_names_what_it_waits_for(observe_waiting):
    made = observe_waiting(Observed())
    assert (made["phase"], made["state"], made["ready"]) == ("Pending", "Creating", False)
    assert condition(made, c.READY) == ("False", "Waiting")
    assert made["message"] == message(made, c.READY) == "; ".join(WAITING)
    assert condition(made, c.ACCEPTED) == ("True", "Accepted")
    assert condition(made, c.PROGRAMMED) == ("Unknown", "Waiting")


def test_what_already_runs_says_that_it_waits(observe_waiting):
    """Its dependency went down later: the children stay, and Ready does not say that all is well."""
    made = observe_waiting(running(handshake=None))
    assert (made["phase"], made["state"], made["ready"]) == ("Pending", "Running", False)
    assert condition(made, c.READY) == ("False", "Waiting")
    assert condition(made, c.PROGRAMMED) == ("True", "Programmed")
    assert made["readyReplicas"] == 1


def test_an_edit_that_waits_is_not_told_as_applied(observe_waiting):
    made = observe_waiting(running(generation=0, handshake=None))
    assert condition(made, c.PROGRAMMED) == ("Unknown", "Waiting")
    assert made["observedGeneration"] == 1


def test_what_is_deleted_waits_for_nothing(observe_waiting):
    made = observe_waiting(Observed(deleting=True))
    assert (made["state"], condition(made, c.READY)) == ("Terminating", ("False", "Progressing"))


def test_what_a_plan_warns_of_stands_in_accepted_and_stops_nothing(observe):
    made = observe(running(), {"telemetry": {"enabled": True}})
    assert condition(made, c.ACCEPTED) == ("True", "Accepted")
    told = "warning: spec.telemetry.endpoint: telemetry is enabled, but neither the resource nor the operator"
    assert message(made, c.ACCEPTED).startswith(told)
    assert (made["phase"], made["ready"], made["message"]) == ("Ready", True, "")

    endpoint = {"enabled": True, "endpoint": "http://otel-collector:4318"}
    assert message(observe(running(), {"telemetry": endpoint}), c.ACCEPTED) == ""


def test_several_warnings_are_joined_each_with_what_to_do(observe):
    env = [{"name": "KEY", "value": "sk-" + "0" * 20}]
    told = message(observe(running(), {"telemetry": {"enabled": True}, "container": {"env": env}}), c.ACCEPTED)
    first, second = told.split("; warning: ")
    assert first.startswith("warning: spec.telemetry.endpoint: ")
    assert second.startswith("spec.container.env[0].value: the value of KEY looks like a secret")
    assert second.endswith(". Put it into a Secret and name that in valueFrom.")


def test_many_warnings_are_cut(observe):
    env = [{"name": f"KEY_{n}", "value": "sk-" + "0" * 20} for n in range(30)]
    told = message(observe(running(), {"container": {"env": env}}), c.ACCEPTED)
    assert told.startswith("warning: spec.container.env[0].value: ")
    assert told.endswith("…")
    assert len(json.dumps(told, ensure_ascii=False).encode()) <= 512


def test_a_warning_does_not_hide_what_is_missing(observe):
    missing = Problem("ServiceAccountNotFound", "there is no ServiceAccount x")
    made = observe(running(references=(missing,)), {"telemetry": {"enabled": True}})
    assert condition(made, c.ACCEPTED) == ("True", "Accepted")
    assert condition(made, c.RESOLVED_REFS) == ("False", "ServiceAccountNotFound")
    assert (made["phase"], made["message"]) == ("Failed", "there is no ServiceAccount x")
