"""ModelAPI: an OpenAI-compatible endpoint, proxied or hosted."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from kaos_core.resources import patterns
from kaos_core.resources.base import Model, Resource, cel
from kaos_core.resources.container import KeyRef
from kaos_core.resources.workload import WorkloadSpec

ModelName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9*][-._:/@*A-Za-z0-9]*$")]
"""A model as providers write it, perhaps with a wildcard: `gpt-4`, `openai/*`, `*`."""

_ONE_KEY = "give exactly one of value, valueFrom"
_ONE_CONFIG = "give exactly one of fromString, fromSecretKeyRef"
_MODE = "give mode: Proxy or Hosted"
_MODEL = "mode Hosted needs hostedConfig.model"


class KeySource(Model):
    """Where a credential comes from."""

    secret_key_ref: KeyRef
    """A key of a Secret."""


class ApiKey(Model):
    """A provider's key: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=cel(("has(self.value) != has(self.valueFrom)", _ONE_KEY)))

    value: Annotated[str, Field(min_length=1, max_length=4096, pattern=patterns.NO_NUL)] | None = None
    """The key itself, readable by everyone who can read the resource. For a real one use valueFrom."""
    value_from: KeySource | None = None
    """Where to take it from."""

    @model_validator(mode="after")
    def _one_source(self) -> ApiKey:
        if (self.value is None) == (self.value_from is None):
            raise ValueError(_ONE_KEY)
        return self


class ConfigYaml(Model):
    """A whole LiteLLM configuration: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=cel(("has(self.fromString) != has(self.fromSecretKeyRef)", _ONE_CONFIG))
    )

    from_string: Annotated[str, Field(max_length=262144)] | None = None
    """The text."""
    from_secret_key_ref: KeyRef | None = None
    """A key of a Secret."""

    @model_validator(mode="after")
    def _one_source(self) -> ConfigYaml:
        if (self.from_string is None) == (self.from_secret_key_ref is None):
            raise ValueError(_ONE_CONFIG)
        return self


class ProxyConfig(Model):
    """A proxy in front of a provider (LiteLLM)."""

    models: Annotated[list[ModelName], Field(max_length=256)] = []
    """Models it offers; wildcards as in `openai/*` are allowed. Default: `*`, whatever the provider has."""
    provider: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_]+$")] | None = None
    """Provider of the models, put before their names: `openai`, `anthropic`, …"""
    api_base: Annotated[str, Field(max_length=1024, pattern=patterns.PROVIDER)] | None = None
    """Base URL of the provider."""
    api_key: ApiKey | None = None
    """Key of the provider."""
    config_yaml: ConfigYaml | None = None
    """A whole LiteLLM configuration instead of the generated one; `models` then only tells agents what it offers."""


class HostedConfig(Model):
    """A model served in the cluster (Ollama)."""

    model: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][-._:/A-Za-z0-9]*$")]
    """The model, as Ollama names it."""


class ModelAPISpec(WorkloadSpec):
    """What a ModelAPI should be."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.mode) != has(self.type)", _MODE),
            ("!has(self.mode) || self.mode != 'Hosted' || has(self.hostedConfig)", _MODEL),
            ("!has(self.type) || self.type != 'hosted' || has(self.hostedConfig)", _MODEL),
        )
    )

    mode: Literal["Proxy", "Hosted"] | None = None
    """`Proxy` forwards to a provider, `Hosted` serves a model in the cluster."""
    type: Literal["proxy", "hosted"] | None = None
    """Another spelling of mode."""
    proxy_config: ProxyConfig | None = None
    """For mode Proxy."""
    hosted_config: HostedConfig | None = None
    """For mode Hosted."""

    @model_validator(mode="after")
    def _complete(self) -> ModelAPISpec:
        if (self.mode is None) == (self.type is None):
            raise ValueError(_MODE)
        if self.hosted and self.hosted_config is None:
            raise ValueError(_MODEL)
        return self

    @property
    def hosted(self) -> bool:
        """Whether the model runs in the cluster itself."""
        return self.mode == "Hosted" or self.type == "hosted"


class ModelAPI(Resource):
    """An OpenAI-compatible endpoint."""

    removed: ClassVar[dict[str, Any]] = {
        "spec.proxyConfig.env": "use spec.container.env",
        "spec.hostedConfig.env": "use spec.container.env",
        "spec.env": "use spec.container.env",
        "spec.resources": "use spec.container.resources",
    }

    spec: ModelAPISpec
