"""What a container refers to -> values: Secrets and ConfigMaps as kubelet reads them, and its words when it cannot."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.node.api import CONFIG_MAPS, SECRETS, Api, Collection, Object
from kaos_cli.local.launch import Values

_KEYS = {"secretKeyRef": SECRETS, "configMapKeyRef": CONFIG_MAPS}
_WHOLE = {"secretRef": SECRETS, "configMapRef": CONFIG_MAPS}


class ConfigError(Exception):
    """The environment cannot be made: CreateContainerConfigError, in kubelet's sentence."""


class MountError(Exception):
    """A volume cannot be mounted: the container is never created, and only an event would say why."""


class References:
    """Of the containers of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def values(self, container: Object) -> Values:
        """Of `env` and `envFrom`. Raises ConfigError."""
        env: dict[str, str] = {}
        env_from: dict[str, str] = {}
        for source in container.get("envFrom") or []:
            for word, collection in _WHOLE.items():
                if wanted := source.get(word):
                    data = await self._wanted(collection, wanted)
                    env_from |= {f"{source.get('prefix') or ''}{key}": value for key, value in (data or {}).items()}
        for entry in container.get("env") or []:
            for word, collection in _KEYS.items():
                if wanted := (entry.get("valueFrom") or {}).get(word):
                    value = await self._value(collection, wanted)
                    if value is not None:
                        env[entry["name"]] = value
        return Values(env, env_from)

    async def files(self, pod: Object, container: Object) -> dict[str, str]:
        """Path in the container -> text, of mounted Secrets and ConfigMaps. Raises MountError."""
        volumes = {volume["name"]: volume for volume in pod.get("volumes") or []}
        found: dict[str, str] = {}
        for mount in container.get("volumeMounts") or []:
            data = await self._volume(volumes.get(mount["name"], {}))
            found |= dict(_mounted(mount, data))
        return found

    async def _value(self, collection: Collection, wanted: Mapping[str, Any]) -> str | None:
        data = await self._wanted(collection, wanted)
        if data is None:
            return None
        if wanted["key"] in data:
            return data[wanted["key"]]
        if wanted.get("optional"):
            return None
        kind, where = collection.kind, f"{self._namespace}/{wanted['name']}"
        raise ConfigError(f"couldn't find key {wanted['key']} in {kind} {where}")

    async def _wanted(self, collection: Collection, wanted: Mapping[str, Any]) -> dict[str, str] | None:
        data = await self._data(collection, wanted["name"])
        if data is None and not wanted.get("optional"):
            raise ConfigError(f'{collection.kind.lower()} "{wanted["name"]}" not found')
        return data

    async def _volume(self, volume: Mapping[str, Any]) -> dict[str, str]:
        """Its files by their name; empty for a volume of another type."""
        if "configMap" in volume:
            collection, source, name = CONFIG_MAPS, volume["configMap"], volume["configMap"]["name"]
        elif "secret" in volume:
            collection, source, name = SECRETS, volume["secret"], volume["secret"]["secretName"]
        else:
            return {}
        data = await self._data(collection, name)
        if data is None:
            if source.get("optional"):
                return {}
            raise MountError(f'{collection.kind.lower()} "{name}" not found')
        if not source.get("items"):
            return data
        return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}

    async def _data(self, collection: Collection, name: str) -> dict[str, str] | None:
        found = await self._api.get(collection, self._namespace, name)
        if found is None:
            return None
        data: dict[str, str] = found.get("data") or {}
        if collection is SECRETS:
            return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
        return data


def _mounted(mount: Mapping[str, Any], data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    path, inside = mount["mountPath"].rstrip("/"), mount.get("subPath")
    if inside:
        if inside in data:
            yield path, data[inside]
        return
    for name, text in data.items():
        yield f"{path}/{name}", text
