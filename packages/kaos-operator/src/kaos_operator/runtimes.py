"""Runtimes: keeps the registry as the ConfigMaps of the system namespace say, and tells the cluster what is loaded.

It is the `Sink` of that namespace's ConfigMaps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_operator import info
from kaos_operator.api import Api, ApiError, NotLeaderError
from kaos_operator.events import Events
from kaos_operator.metrics import Metrics
from kaos_operator.objects import Object
from kaos_operator.overlays import Overlays

_log = logging.getLogger(__name__)

_AGAIN = 5.0
"""Seconds until `kaos-operator-info` is tried again."""


class Runtimes:
    """The live registry. `changed` gets the names of the runtimes that an edit touches."""

    def __init__(
        self,
        api: Api,
        plugins: Plugins,
        namespace: str,
        events: Events,
        metrics: Metrics,
        changed: Callable[[set[str]], None],
    ) -> None:
        self._api = api
        self._plugins = plugins
        self._namespace = namespace
        self._events = events
        self._metrics = metrics
        self._changed = changed
        self._overlays = Overlays(plugins)
        self._news = asyncio.Event()
        plugins.failed = self._plugin_failed

    @property
    def registry(self) -> Registry:
        """As it counts now."""
        return self._overlays.registry

    async def read(self) -> None:
        """Every ConfigMap, before anything is planned. Raises ApiError."""
        for config_map in await self._api.objects("v1", "ConfigMap", self._namespace):
            self._overlays.see(config_map)
        self._note(set())

    def see(self, obj: Object) -> None:
        """A ConfigMap as it is now."""
        if obj["metadata"]["name"] != info.NAME:
            self._after(lambda: self._overlays.see(obj))

    def lose(self, obj: Object) -> None:
        """A ConfigMap that is gone."""
        self._after(lambda: self._overlays.lose(obj["metadata"]["name"]))

    async def publish(self, leading: asyncio.Event) -> None:
        """Keep `kaos-operator-info` true while leading, and tell a ConfigMap what is wrong with it; for ever."""
        while True:
            await self._news.wait()
            await leading.wait()
            self._news.clear()
            try:
                await info.publish(self._api, info.info(self._namespace, self._plugins, self.registry))
                for config_map, problem in self._overlays.problems():
                    await self._events.warn(config_map, problem.reason, problem.message)
            except (ApiError, NotLeaderError) as error:
                _log.warning("kaos-operator-info could not be written", extra={"error": str(error)})
                self._news.set()
                await asyncio.sleep(_AGAIN)

    def _after(self, change: Callable[[], set[str]]) -> None:
        """A ConfigMap that broke may change no runtime, and is news all the same (F25)."""
        before = self.registry
        names = change()
        if self.registry is not before:
            self._note(names)

    def _note(self, names: set[str]) -> None:
        self._metrics.runtimes.set(len(self.registry.by_name))
        self._metrics.registry_valid.set(not self._overlays.problems())
        self._plugin_failed()
        self._changed(names)

    def _plugin_failed(self) -> None:
        """Also later: a hook may raise or hang whenever it is called."""
        self._metrics.plugin_failures.set(len(self._plugins.failures))
        self._news.set()
