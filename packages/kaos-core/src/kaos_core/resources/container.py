"""`spec.container`: the shorthand for the main container (S4.26), the same on every kind."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from kaos_core.resources import patterns
from kaos_core.resources.base import Model, Name, cel

Image = Annotated[str, Field(max_length=255, pattern=patterns.IMAGE)]
EnvName = Annotated[str, Field(max_length=253, pattern=patterns.ENV_NAME)]
Argument = Annotated[str, Field(max_length=32768, pattern=patterns.NO_NUL)]
Key = Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Quantity = Annotated[
    int | str, Field(json_schema_extra={"minimum": 0, "maxLength": 32, "pattern": f"^{patterns.QUANTITY}$"})
]

_QUANTITY = re.compile(patterns.QUANTITY)
_SCALE = {"m": 1e-3, "k": 1e3} | {unit: 1000.0**n for n, unit in enumerate("MGTPE", 2)}
_SCALE |= {f"{unit}i": 1024.0**n for n, unit in enumerate("KMGTPE", 1)}

_RESERVED = "names that begin with KAOS_ are reserved"
_ONE_VALUE = "give value or valueFrom, not both"
_ONE_SOURCE = "give exactly one of secretKeyRef, configMapKeyRef, fieldRef"
_ONE_OBJECT = "give exactly one of secretRef, configMapRef"
_NO_COMMAND = "the first element is empty; leave command out to use the image's own"
_TOO_MUCH = "a quantity is less than 2^63"
_UNFIT = "a request is more than its limit"
_FITS = (
    "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
    "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)"
)
_STORABLE = cel(("self.all(name, quantity(string(self[name])).isLessThan(quantity('9223372036854775807')))", _TOO_MUCH))
_MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class KeyRef(Model):
    """One key of a Secret or a ConfigMap in the same namespace."""

    name: Name
    """Name of the object."""
    key: Key
    """Key in the object."""
    optional: bool | None = None
    """Start even when the object or the key is missing."""


class FieldRef(Model):
    """A field of the pod itself."""

    field_path: Annotated[
        str,
        Field(
            pattern=r"^(metadata[.](name|namespace|uid|labels\['[^']+'\]|annotations\['[^']+'\])|spec[.]serviceAccountName|status[.]podIPs?)$"
        ),
    ]
    """Path of the field. Fields of the node are not offered."""


class EnvSource(Model):
    """Where a value comes from: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(one, one).size() == 1",
                _ONE_SOURCE,
            )
        )
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """A field of the pod."""

    @model_validator(mode="after")
    def _one_source(self) -> EnvSource:
        if len(self.model_fields_set) != 1:
            raise ValueError(_ONE_SOURCE)
        return self


class EnvVar(Model):
    """An environment variable: a value, or where to take it from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!self.name.startsWith('KAOS_')", _RESERVED),
            ("!(has(self.value) && has(self.valueFrom))", _ONE_VALUE),
        )
    )

    name: EnvName
    """Name of the variable."""
    value: Annotated[str, Field(max_length=131072, pattern=patterns.NO_NUL)] | None = None
    """The value itself. For anything secret use valueFrom."""
    value_from: EnvSource | None = None
    """Where to take the value from."""

    @model_validator(mode="after")
    def _one_value(self) -> EnvVar:
        if self.value is not None and self.value_from is not None:
            raise ValueError(_ONE_VALUE)
        return self

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value.startswith("KAOS_"):
            raise ValueError(f"{_RESERVED}, found {value}")
        return value


class ObjectRef(Model):
    """A Secret or ConfigMap as a whole."""

    name: Name
    """Name of the object."""
    optional: bool | None = None
    """Start even when the object is missing."""


class EnvFrom(Model):
    """Every key of a Secret or a ConfigMap as a variable."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!has(self.prefix) || !self.prefix.startsWith('KAOS_')", _RESERVED),
            ("has(self.secretRef) != has(self.configMapRef)", _ONE_OBJECT),
        )
    )

    prefix: Annotated[str, Field(max_length=253)] | None = None
    """Put before each key."""
    secret_ref: ObjectRef | None = None
    """All keys of this Secret."""
    config_map_ref: ObjectRef | None = None
    """All keys of this ConfigMap."""

    @field_validator("prefix")
    @classmethod
    def _not_reserved(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("KAOS_"):
            raise ValueError(f"{_RESERVED}, found the prefix {value}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> EnvFrom:
        if (self.secret_ref is None) == (self.config_map_ref is None):
            raise ValueError(_ONE_OBJECT)
        return self


class Resources(Model):
    """Compute resources, as in a container."""

    model_config = ConfigDict(json_schema_extra=cel((_FITS, _UNFIT)))

    limits: Annotated[dict[str, Quantity], Field(max_length=16, json_schema_extra=_STORABLE)] | None = None
    """The most it may use, for example `memory: 512Mi`."""
    requests: Annotated[dict[str, Quantity], Field(max_length=16, json_schema_extra=_STORABLE)] | None = None
    """What is set aside for it, for example `cpu: 100m`."""

    @field_validator("limits", "requests")
    @classmethod
    def _quantities(cls, value: dict[str, Quantity] | None) -> dict[str, Quantity] | None:
        for name, quantity in (value or {}).items():
            if amount(quantity) is None:
                raise ValueError(f"{name}: {quantity!r} is not a quantity such as 100m, 1, 128Mi")
        return value

    @model_validator(mode="after")
    def _requests_fit(self) -> Resources:
        for name, request in (self.requests or {}).items():
            limit = (self.limits or {}).get(name)
            if limit is not None and (amount(request) or 0) > (amount(limit) or 0):
                raise ValueError(f"{name}: the request {request} is more than the limit {limit}")
        return self


class VolumeMount(Model):
    """Where a volume of `spec.volumes` is mounted."""

    name: Annotated[str, Field(max_length=63, pattern=patterns.VOLUME_NAME)]
    """Name of the volume."""
    mount_path: Annotated[str, Field(max_length=4096, pattern=r"^/[^:\x00]*$")]
    """Absolute path in the container."""
    sub_path: Annotated[str, Field(max_length=4096)] | None = None
    """Path inside the volume."""
    read_only: bool | None = None
    """Mount it read-only."""


class ContainerOverride(Model):
    """What replaces or adds to the generated main container. Works with any runtime."""

    image: Image | None = None
    """Container image. Required for the runtime `custom`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled."""
    command: (
        Annotated[
            list[Argument],
            Field(max_length=1024, json_schema_extra=cel(("self.size() == 0 || self[0] != ''", _NO_COMMAND))),
        ]
        | None
    ) = None
    """Replaces the entrypoint. An empty list keeps the image's own."""
    args: Annotated[list[Argument], Field(max_length=1024)] | None = None
    """Replaces the arguments."""
    env: Annotated[list[EnvVar], Field(max_length=512, json_schema_extra=_MAP_BY_NAME)] | None = None
    """Environment variables, laid over the generated ones by name."""
    env_from: Annotated[list[EnvFrom], Field(max_length=64)] | None = None
    """Secrets and ConfigMaps whose keys all become variables."""
    resources: Resources | None = None
    """Compute resources."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=64)] | None = None
    """Mounts of the volumes in `spec.volumes`."""

    @field_validator("env")
    @classmethod
    def _names_once(cls, value: list[EnvVar] | None) -> list[EnvVar] | None:
        seen: set[str] = set()
        for variable in value or []:
            if variable.name in seen:
                raise ValueError(f"the name {variable.name} stands twice")
            seen.add(variable.name)
        return value

    @field_validator("command")
    @classmethod
    def _not_empty(cls, value: list[str] | None) -> list[str] | None:
        if value and not value[0]:
            raise ValueError(_NO_COMMAND)
        return value


def amount(quantity: Quantity) -> float | None:
    """A Kubernetes quantity as a number; None when it is none, negative or beyond what Kubernetes stores."""
    if isinstance(quantity, bool):
        return None
    match = _QUANTITY.fullmatch(str(quantity))
    if not match:
        return None
    unit = match[2] or ""
    scale = float(f"1{unit}") if unit[:1] in ("e", "E") and len(unit) > 1 and unit != "Ei" else _SCALE.get(unit, 1.0)
    value = float(match[1]) * scale
    return value if value < 2**63 else None
