"""What a ModelAPI may say, and that its configuration is data, never text pasted together."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kaos_core.errors import ResourceError
from kaos_core.kinds.modelapi import litellm_config
from kaos_core.manifests.names import API_VERSION
from kaos_core.plan import plan
from kaos_core.resources.modelapi import ProxyConfig


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


@given(st.from_type(str).filter(lambda text: "\x00" not in text), st.sampled_from(["openai", None]))
def test_the_proxy_configuration_survives_any_text(base, provider):
    """B45"""
    proxy = ProxyConfig.model_construct(models=["gpt-4"], provider=provider, api_base=base, api_key=None)
    config = litellm_config(proxy)
    assert yaml.safe_load(yaml.safe_dump(config, sort_keys=False)) == config
    assert config["model_list"][0]["litellm_params"].get("api_base", "") == base


def test_a_key_is_a_reference_in_config_and_environment(plugins, registry):
    key = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}
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
