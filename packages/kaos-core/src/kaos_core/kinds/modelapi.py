"""The kind ModelAPI: a LiteLLM proxy with a generated configuration, or an Ollama with its model pulled first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from kaos_core.kinds import READY_COLUMNS, Column, Kind
from kaos_core.manifests import names
from kaos_core.program import Env, Program
from kaos_core.resolve import Context, Resolved, telemetry_env

if TYPE_CHECKING:
    from kaos_core.resources.modelapi import ModelAPI, ProxyConfig

CONFIG_FILE = f"{names.PARAMS_FOLDER}/config.yaml"
MASTER_KEY = "LITELLM_MASTER_KEY"
PROVIDER_KEY = "PROXY_API_KEY"
OLLAMA_PORT = 11434
OLLAMA_MODELS = "/models"


def resolve_modelapi(api: ModelAPI, context: Context) -> Resolved:
    """A proxy or a hosted model as a program."""
    hosted = api.spec.hosted_config if api.spec.hosted else None
    program, resolved = _hosted(hosted.model, context) if hosted else _proxy(api, context)
    resolved.program = program
    program.set_env(
        telemetry_env(api.spec, api.metadata.name, api.metadata.namespace, context.settings, resolved.problems)
    )
    return resolved


def litellm_config(proxy: ProxyConfig) -> dict[str, Any]:
    """LiteLLM's configuration: one entry per model, wildcards kept, the key by reference to the environment."""
    entries = []
    for model in proxy.models or ["*"]:
        params: dict[str, Any] = {"model": f"{proxy.provider}/{model}" if proxy.provider else model}
        if proxy.api_base:
            params["api_base"] = proxy.api_base
        if proxy.api_key:
            params["api_key"] = f"os.environ/{PROVIDER_KEY}"
        entries.append({"model_name": model, "litellm_params": params})
    return {"model_list": entries}


def _proxy(api: ModelAPI, context: Context) -> tuple[Program, Resolved]:
    from kaos_core.resources.modelapi import ProxyConfig

    proxy = api.spec.proxy_config or ProxyConfig()
    program = Program(
        image=context.settings.litellm_image,
        args=["--config", CONFIG_FILE, "--host", "0.0.0.0", "--port", "{port}", "--telemetry", "False"],  # noqa: S104 in its pod
        health="/health/liveliness",
        ready="/health/readiness",
        path="",
    )
    env: list[Env] = [
        {"name": "LITELLM_LOCAL_MODEL_COST_MAP", "value": "True"},
        {"name": "LITELLM_TELEMETRY", "value": "False"},
    ]
    if proxy.api_key:
        source = proxy.api_key.value_from.model_dump(by_alias=True, exclude_unset=True)
        env.append({"name": PROVIDER_KEY, "valueFrom": source})
    resolved = Resolved(run_as_user=1000)
    given = proxy.config_yaml
    if given and given.from_secret_key_ref:
        key = given.from_secret_key_ref
        resolved.volumes = [
            {"name": "config", "secret": {"secretName": key.name, "items": [{"key": key.key, "path": "config.yaml"}]}}
        ]
        resolved.volume_mounts = [{"name": "config", "mountPath": names.PARAMS_FOLDER, "readOnly": True}]
    else:
        text = (
            given.from_string if given and given.from_string else yaml.safe_dump(litellm_config(proxy), sort_keys=False)
        )
        program.files[CONFIG_FILE] = text
    program.set_env(env)
    set_by_user = {variable.name for variable in (api.spec.container and api.spec.container.env) or []}
    # LiteLLM refuses to start without a master key.
    resolved.token_env = "" if MASTER_KEY in set_by_user else MASTER_KEY
    return program, resolved


def _hosted(model: str, context: Context) -> tuple[Program, Resolved]:
    image = context.settings.ollama_image
    env: list[Env] = [
        {"name": "OLLAMA_HOST", "value": f"0.0.0.0:{OLLAMA_PORT}"},
        {"name": "OLLAMA_MODELS", "value": OLLAMA_MODELS},
        {"name": "HOME", "value": OLLAMA_MODELS},
    ]
    program = Program(image=image, args=["serve"], port=OLLAMA_PORT, health="/", ready="/", path="")
    program.set_env(env)
    # The model is an element of argv, never text in the shell's script (B44). Ollama pulls through a running server.
    pull = {
        "name": "pull-model",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "/bin/sh",
            "-c",
            'ollama serve & until ollama list >/dev/null 2>&1; do sleep 1; done; exec ollama pull "$1"',
            "pull",
            model,
        ],
        "env": env,
        "volumeMounts": [{"name": "models", "mountPath": OLLAMA_MODELS}],
    }
    resolved = Resolved(run_as_user=1000)
    resolved.init_containers = [pull]
    resolved.volumes = [{"name": "models", "emptyDir": {}}]
    resolved.volume_mounts = [{"name": "models", "mountPath": OLLAMA_MODELS}]
    return program, resolved


KIND = Kind(
    name="ModelAPI",
    plural="modelapis",
    short_names=("mapi",),
    model="kaos_core.resources.modelapi:ModelAPI",
    status_model="kaos_core.resources.status:ModelAPIStatus",
    role="modelapi",
    container="model-api",
    route="modelapi",
    resolve=resolve_modelapi,
    columns=(Column("Mode", ".spec.mode"), *READY_COLUMNS, Column("Models", ".spec.proxyConfig.models", priority=1)),
)
