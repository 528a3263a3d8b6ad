"""Overlays: the registry's ConfigMaps -> the registry. An edit touches only the servers whose runtime it changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from kaos_core.errors import Problem
from kaos_core.manifests.names import REGISTRY_CONFIGMAP, REGISTRY_KEY, REGISTRY_LABEL
from kaos_core.plugins import Plugins
from kaos_core.registry import Overlay, Registry
from kaos_operator.objects import Object, version

_log = logging.getLogger(__name__)


class Overlays:
    """The ConfigMaps of one system namespace that hold runtimes, and the registry they make with the plugins."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._texts: dict[str, Object] = {}
        self.registry = Registry.build(plugins)

    def see(self, config_map: Mapping[str, Any]) -> set[str]:
        """A ConfigMap as it is now -> the names of the runtimes that it changes."""
        name = config_map["metadata"]["name"]
        known = self._texts.get(name)
        if known is not None and version(config_map) <= version(known):
            return set()
        if not counts(config_map):
            return self.lose(name)
        data = config_map.get("data") or {}
        meta = {key: config_map["metadata"].get(key, "") for key in ("name", "namespace", "uid", "resourceVersion")}
        fresh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        self._texts[name] = fresh
        return self._rebuild() if known is None or known["data"] != data else set()

    def lose(self, name: str) -> set[str]:
        """A ConfigMap that is gone -> the names of the runtimes that it changes."""
        return self._rebuild() if self._texts.pop(name, None) is not None else set()

    def problems(self) -> list[tuple[Object, Problem]]:
        """What is wrong with the overlays: the ConfigMap, and the entry or document of it that is passed over."""
        by_origin = {_origin(config_map): config_map for config_map in self._texts.values()}
        return [
            (by_origin[origin], problem)
            for problem in self.registry.problems
            for origin in by_origin
            if problem.reason == "InvalidRegistry" and f"{origin}:" in problem.message.replace(",", ":")
        ]

    def _rebuild(self) -> set[str]:
        # The chart's first, then the labelled ones by name (design, "The one idea").
        ordered = sorted(self._texts.items(), key=lambda item: (item[0] != REGISTRY_CONFIGMAP, item[0]))
        overlays = [Overlay(_origin(config_map), _text(config_map)) for _, config_map in ordered]
        before, self.registry = self.registry, Registry.build(self._plugins, overlays, self.registry)
        changed = {
            name
            for name in {*before.by_name, *self.registry.by_name}
            if before.by_name.get(name) != self.registry.by_name.get(name)
        }
        # A name that became known, broken or failed was asked for by servers that are not in the registry.
        changed |= {
            name
            for name in {*before.broken, *self.registry.broken}
            if before.broken.get(name) != self.registry.broken.get(name)
        }
        aliases = {
            alias
            for registry in (before, self.registry)
            for name in changed & set(registry.by_name)
            for alias in registry.by_name[name].runtime.aliases
        }
        _log.info("the runtime registry changed", extra={"runtimes": sorted(changed)})
        return changed | aliases


def counts(config_map: Mapping[str, Any]) -> bool:
    """Whether a ConfigMap of the system namespace is part of the registry."""
    meta = config_map["metadata"]
    return meta["name"] == REGISTRY_CONFIGMAP or (meta.get("labels") or {}).get(REGISTRY_LABEL) == "true"


def _origin(config_map: Mapping[str, Any]) -> str:
    meta = config_map["metadata"]
    return f"ConfigMap {meta['namespace']}/{meta['name']}"


def _text(config_map: Mapping[str, Any]) -> str:
    """`runtimes.yaml`; a ConfigMap with another single key means that one."""
    data: Mapping[str, str] = config_map["data"]
    if REGISTRY_KEY in data or len(data) != 1:
        return str(data.get(REGISTRY_KEY, ""))
    return str(next(iter(data.values())))
