"""A resource and the registry become what to run, or the reasons why not."""

from __future__ import annotations

import pytest

from kaos_core.kinds.modelapi import KIND as MODELAPI
from kaos_core.resolve import ENV_LIMIT
from kaos_core.settings import Gateway, Settings
from kaos_core.testing import server


def environment(made) -> dict[str, dict]:
    return {entry["name"]: entry for entry in made.process.env}


def test_an_unknown_runtime_lists_the_known(planned, reasons):
    """B6"""
    made = planned(server("nothing"))
    assert reasons(made) == ["UnknownRuntime"]
    assert made.errors[0].message == "unknown runtime: nothing (available: [custom, foreign, weather])"
    assert (made.objects, made.process) == ((), None)
    assert made.endpoint == "http://mcpserver-check.default.svc.cluster.local:8000"


@pytest.mark.parametrize(("spec", "overlay"), [({}, "stdio"), ({"transport": {"type": "stdio"}}, "http")])
def test_stdio_without_an_adapter_is_unsupported(planned, reasons, spec, overlay):
    """B7"""
    made = planned(server("foreign", params="x", **spec), f"runtimes:\n  foreign: {{transport: {overlay}}}\n")
    assert reasons(made) == ["UnsupportedTransport"]


def test_missing_variables_are_listed(planned, reasons):
    """B8"""
    overlay = "runtimes:\n  weather: {requiredEnv: [ONE, TWO]}\n"
    made = planned(server("weather", container={"env": [{"name": "TWO", "value": "x"}]}), overlay)
    assert reasons(made) == ["MissingRequiredEnv"]
    assert made.errors[0].message == "runtime weather needs ONE in container.env"
    assert planned(server("weather"), overlay).errors[0].message == "runtime weather needs ONE, TWO in container.env"


@pytest.mark.parametrize("variable", [{"value": ""}, {}])
def test_an_empty_variable_is_a_missing_one(planned, reasons, variable):
    """B9"""
    made = planned(server("weather", container={"env": [{"name": "WEATHER_API_KEY", **variable}]}))
    assert reasons(made) == ["MissingRequiredEnv"]


def test_a_whole_secret_may_hold_what_is_required(planned):
    made = planned(server("weather", container={"envFrom": [{"secretRef": {"name": "weather"}}]}))
    assert made.errors == []
    assert made.process.env_from == ({"secretRef": {"name": "weather"}},)


def test_params_and_their_variable_are_not_both_given(planned, weather, reasons):
    """B23: paramsEnvVar is reserved only when params is set."""
    by_hand = {"env": [{"name": "WEATHER_PARAMS", "value": "x"}]}
    assert reasons(planned(weather(**by_hand, params="x"))) == ["InvalidParams"]
    source = {"secretKeyRef": {"name": "a", "key": "b"}}
    made = planned(weather(**by_hand, paramsFrom=source))
    assert made.errors[0].message == "container.env sets WEATHER_PARAMS, and so does spec.paramsFrom"
    assert planned(weather(**by_hand)).errors == []


def test_params_from_elsewhere_are_a_reference(planned, weather):
    source = {"configMapKeyRef": {"name": "code", "key": "tools.py"}}
    made = planned(weather(paramsFrom=source))
    assert environment(made)["WEATHER_PARAMS"] == {"name": "WEATHER_PARAMS", "valueFrom": source}
    assert made.origins["env.WEATHER_PARAMS"] == "spec.paramsFrom"


@pytest.mark.parametrize("spec", [{"params": "x"}, {"paramsFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}])
def test_a_runtime_without_a_params_variable_takes_none(planned, reasons, spec):
    custom = server("custom", container={"image": "a/b:1"}, **spec)
    assert reasons(planned(custom)) == ["InvalidParams"]


def test_large_params_come_as_a_file(planned, weather, by_kind):
    code = "ä" * (ENV_LIMIT // 2 + 1)
    made = planned(weather(params=code))
    assert made.process.files == {"/etc/kaos/params/params": code}
    assert environment(made)["WEATHER_PARAMS_FILE"]["value"] == "/etc/kaos/params/params"
    assert "WEATHER_PARAMS" not in environment(made)
    objects = by_kind(made)
    assert objects.ConfigMap["metadata"]["name"] == "mcpserver-check-params"
    assert objects.ConfigMap["data"] == {"params": code}
    other = by_kind(planned(weather(params=code + "x")))
    marks = [
        o.Deployment["spec"]["template"]["metadata"]["annotations"]["kaos.tools/params-hash"] for o in (objects, other)
    ]
    assert marks[0] != marks[1]


def test_params_at_the_limit_stay_in_the_environment(planned, weather):
    assert planned(weather(params="x" * ENV_LIMIT)).process.files == {}


def test_params_that_no_file_can_carry_stay_in_the_environment(planned):
    made = planned(server("foreign", params="x" * (ENV_LIMIT + 1)))
    assert made.process.files == {}


def test_telemetry_is_opentelemetrys_own_variables(planned, weather):
    made = planned(weather(telemetry={"enabled": True, "endpoint": "http://o:4317"}))
    told = {name: entry["value"] for name, entry in environment(made).items() if name.startswith("OTEL_")}
    assert told == {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_SERVICE_NAME": "check",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://o:4317",
        "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=default,kaos.resource.name=check",
    }


def test_telemetry_without_an_endpoint_is_a_warning(planned, weather):
    document = weather(telemetry={"enabled": True})
    (problem,) = planned(document).problems
    assert (problem.severity, problem.reason) == ("warning", "TelemetryEndpointMissing")
    assert "OTEL_SDK_DISABLED" in environment(planned(document, settings=Settings(otlp_endpoint="http://o:4317")))
    assert planned(weather(telemetry={"enabled": False})).problems == ()


TOKEN = "runtimes:\n  weather: {tokenEnv: AUTH_TOKEN}\n"


def test_a_token_is_the_users_own_then_the_specs_then_generated(planned, weather):
    generated = planned(weather(), TOKEN)
    assert (generated.token.secret, generated.token.env) == ("mcpserver-check-token", "AUTH_TOKEN")
    reference = {"name": "mine", "key": "bearer"}
    from_spec = planned(weather(auth={"bearer": {"secretKeyRef": reference}}), TOKEN)
    assert from_spec.token is None
    assert environment(from_spec)["AUTH_TOKEN"]["valueFrom"] == {"secretKeyRef": reference}
    own = planned(weather(env=[{"name": "AUTH_TOKEN", "value": "x"}]), TOKEN)
    assert own.token is None


def test_a_generated_token_is_referred_to_by_key(planned, weather, main_container):
    env = main_container(planned(weather(), TOKEN))["env"]
    reference = {"name": "mcpserver-check-token", "key": "token"}
    assert {"name": "AUTH_TOKEN", "valueFrom": {"secretKeyRef": reference}} in env


def test_a_pod_knows_its_own_names(planned, weather, main_container):
    settings = Settings(gateway=Gateway("gw", "kaos-system", ("mcp.example",)))
    env = {entry["name"]: entry for entry in main_container(planned(weather(), settings=settings))["env"]}
    assert env["KAOS_SERVICE_HOSTS"]["value"].split(",")[-1] == "mcpserver-check.default.svc.cluster.local"
    assert env["KAOS_GATEWAY_HOSTS"]["value"] == "mcp.example"
    assert env["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_a_process_gets_none_of_what_only_pods_need(planned, weather):
    assert not {"POD_IP", "KAOS_SERVICE_HOSTS"} & environment(planned(weather())).keys()


def test_a_kind_is_data_and_loads_its_models_late():
    assert MODELAPI.load_model().__name__ == "ModelAPI"
    assert MODELAPI.load_status_model().__name__ == "ModelAPIStatus"


def test_params_that_no_environment_can_carry_are_refused_before_the_start(planned, reasons):
    """B11: characters are not bytes."""
    made = planned(server("foreign", params="é" * 70_000))
    assert reasons(made) == ["InvalidParams"]
    assert made.errors[0].path == "spec.params"


def test_the_users_variable_beats_the_runtimes_own_on_this_machine(planned):
    own = {"env": [{"name": "WEATHER_LOCAL", "value": "mine"}, {"name": "WEATHER_API_KEY", "value": "x"}]}
    made = planned(server("weather", params="x", container=own))
    values = [entry["value"] for entry in made.process.env if entry["name"] == "WEATHER_LOCAL"]
    assert values == ["mine"]
