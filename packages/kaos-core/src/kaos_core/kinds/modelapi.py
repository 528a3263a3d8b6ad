"""The kind ModelAPI: a LiteLLM proxy with a generated configuration, or an Ollama with its model pulled first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from kaos_core.documents import load_all
from kaos_core.errors import DocumentError, Problem
from kaos_core.kinds import READY_COLUMNS, Column, Kind
from kaos_core.manifests import names
from kaos_core.program import Env, Program
from kaos_core.resolve import Context, Resolved, env_documents, telemetry_env

if TYPE_CHECKING:
    from kaos_core.resources.container import ContainerOverride
    from kaos_core.resources.modelapi import ConfigYaml, ModelAPI, ProxyConfig

CONFIG_FILE = f"{names.PARAMS_FOLDER}/config.yaml"
MASTER_KEY = "LITELLM_MASTER_KEY"
PROVIDER_KEY = "PROXY_API_KEY"
OLLAMA_PORT = 11434
OLLAMA_MODELS = "/models"
PULL = """\
ollama serve &
server=$!
until ollama list >/dev/null 2>&1; do
  kill -0 "$server" || exit 1
  sleep 1
done
exec ollama pull "$1"
"""
"""Ollama pulls through a running server. The model is `$1`, an element of argv, never text of the script (B44)."""


def resolve_modelapi(api: ModelAPI, context: Context) -> Resolved:
    """A proxy or a hosted model as a program."""
    hosted = api.spec.hosted_config if api.spec.hosted else None
    program, resolved = _hosted(hosted.model, api.spec.container, context) if hosted else _proxy(api, context)
    resolved.program = program
    resolved.details["mode"] = "Hosted" if hosted else "Proxy"
    resolved.details["models"] = offered_models({"spec": api.document()["spec"]})
    program.set_env(
        telemetry_env(api.spec, api.metadata.name, api.metadata.namespace, context.settings, resolved.problems)
    )
    return resolved


def offered_models(document: Mapping[str, Any]) -> list[str]:
    """The models of a ModelAPI, wildcards as they are. A proxy that lists none passes everything on."""
    spec = document.get("spec") or {}
    if _is_hosted(spec):
        model = (spec.get("hostedConfig") or {}).get("model")
        return [model] if model else []
    return list((spec.get("proxyConfig") or {}).get("models") or ["*"])


def master_key(name: str, document: Mapping[str, Any]) -> Env | None:
    """`value` or `valueFrom` of the key that the ModelAPI `name` asks of its clients; None when it asks none.

    A LITELLM_MASTER_KEY in its container.env is used by reference; else it is the generated one.
    """
    spec = document.get("spec") or {}
    if _is_hosted(spec):
        return None
    for entry in (spec.get("container") or {}).get("env") or []:
        if entry.get("name") == MASTER_KEY:
            return {key: entry[key] for key in ("value", "valueFrom") if entry.get(key)} or None
    return names.token_source(names.child_name("modelapi", name))


def _is_hosted(spec: Mapping[str, Any]) -> bool:
    return spec.get("mode") == "Hosted" or spec.get("type") == "hosted"


def litellm_config(proxy: ProxyConfig) -> dict[str, Any]:
    """LiteLLM's configuration: one entry per model, wildcards kept, the key by reference to the environment.

    Agents ask for a model as it stands in `models`; LiteLLM learns the provider from the name, so one that does not
    begin with it gets it put before.
    """
    prefix = f"{proxy.provider}/" if proxy.provider else ""
    entries = []
    for model in proxy.models or ["*"]:
        params: dict[str, Any] = {"model": model if model.startswith(prefix) else prefix + model}
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
        # The image's own belongs to root. /tmp can be written whatever the root filesystem is.
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 a path in the pod
    ]
    if proxy.api_key:
        env.append({"name": PROVIDER_KEY, **proxy.api_key.model_dump(by_alias=True, exclude_unset=True)})
    program.set_env(env)
    resolved = Resolved(run_as_user=1000)
    _configure(proxy, program, resolved)
    set_by_user = {variable.name for variable in (api.spec.container and api.spec.container.env) or []}
    # LiteLLM refuses to start without a master key.
    resolved.token_env = "" if MASTER_KEY in set_by_user else MASTER_KEY
    return program, resolved


def _configure(proxy: ProxyConfig, program: Program, resolved: Resolved) -> None:
    """The configuration as a file: the user's own, or the generated one."""
    given = proxy.config_yaml
    if given and given.from_secret_key_ref:
        key = given.from_secret_key_ref
        item = {"key": key.key, "path": CONFIG_FILE.rpartition("/")[2]}
        resolved.volumes = [{"name": "config", "secret": {"secretName": key.name, "items": [item]}}]
        resolved.volume_mounts = [{"name": "config", "mountPath": names.PARAMS_FOLDER, "readOnly": True}]
    elif given:
        resolved.problems += _config_problems(given)
        program.files[CONFIG_FILE] = given.from_string or ""
    else:
        program.files[CONFIG_FILE] = yaml.safe_dump(litellm_config(proxy), sort_keys=False)


def _config_problems(given: ConfigYaml) -> list[Problem]:
    """What LiteLLM would not start with."""
    path = "spec.proxyConfig.configYaml.fromString"
    try:
        documents = load_all(given.from_string or "")
    except DocumentError as error:
        return [Problem("InvalidParams", str(error), path, hint=error.hint)]
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        return [Problem("InvalidParams", "is no mapping with model_list and the like", path)]
    return []


def _hosted(model: str, override: ContainerOverride | None, context: Context) -> tuple[Program, Resolved]:
    image = context.settings.ollama_image
    env: list[Env] = [
        {"name": "OLLAMA_HOST", "value": f"0.0.0.0:{OLLAMA_PORT}"},
        {"name": "OLLAMA_MODELS", "value": OLLAMA_MODELS},
        {"name": "HOME", "value": OLLAMA_MODELS},
    ]
    program = Program(image=image, args=["serve"], port=OLLAMA_PORT, health="/", ready="/", path="")
    program.set_env(env)
    # What reaches a registry from here, a mirror's image or a proxy's address, is needed by both containers.
    own = env_documents((override and override.env) or [])
    pull = {
        "name": "pull-model",
        "image": (override and override.image) or image,
        "imagePullPolicy": (override and override.image_pull_policy) or "IfNotPresent",
        "command": ["/bin/sh", "-c", PULL, "pull-model", model],
        "env": list({entry["name"]: entry for entry in (*env, *own)}.values()),
        "volumeMounts": [{"name": "models", "mountPath": OLLAMA_MODELS}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
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
    columns=(Column("Mode", ".status.mode"), *READY_COLUMNS, Column("Models", ".status.models", priority=1)),
)
