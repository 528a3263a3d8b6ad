"""The operator: puts the parts together and runs them. Everything that lives as long as the process is made here."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import signal
import time
from datetime import UTC, datetime
from typing import Any, cast

from kaos_core.errors import KaosError
from kaos_core.manifests.names import API_VERSION
from kaos_core.manifests.pod_security import Level
from kaos_core.plugins import Plugins
from kaos_core.settings import Settings
from kaos_operator.api import Api, ApiError
from kaos_operator.cache import Cache
from kaos_operator.connection import connect
from kaos_operator.environment import Environment
from kaos_operator.events import Events
from kaos_operator.leader import Leader
from kaos_operator.metrics import Metrics
from kaos_operator.objects import Key, Object, child_key, owner, version
from kaos_operator.probing import Prober
from kaos_operator.queue import WorkQueue
from kaos_operator.reconcile import Inputs, Reconciler
from kaos_operator.runtimes import Runtimes
from kaos_operator.streams import Streams
from kaos_operator.sweep import sweep
from kaos_operator.syncing import Seen, complete
from kaos_operator.watching import CHILDREN, Collection, watch
from kaos_operator.web import Web
from kaos_operator.workers import Workers

_log = logging.getLogger(__name__)

CONFIG_MAPS = Collection("v1", "ConfigMap", "configmaps")
ROUTES = ("gateway.networking.k8s.io/v1", "HTTPRoute")
ROUTE_LOOK = 30.0
"""How often it is looked whether the cluster has HTTPRoutes by now."""
FAREWELL = 5.0
"""Seconds that the parts have to end in after a signal, when the keys in work are finished."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Operator:
    """One process. It is the `Sink` of its watches."""

    def __init__(self, environment: Environment, plugins: Plugins) -> None:
        self.environment = environment
        self.plugins = plugins
        self._kinds = plugins.kinds()
        self.cache = Cache(
            {kind.name: kind.role for kind in self._kinds.values()},
            lambda document: self._references(document),
        )
        self.queue: WorkQueue[Key] = WorkQueue(environment.retry_first, environment.retry_limit)
        self.streams = Streams(self._sweep)
        self.api = Api(lambda: connect(environment.requests), environment.request_timeout)
        self.metrics = Metrics(_Live(self.cache), self.api.sent)
        self.prober = Prober(
            environment.probe_url,
            interval=environment.probe_interval,
            timeout=environment.probe_timeout,
            first=environment.probe_first,
            at_once=environment.probes,
            answered=self.queue.add,
            count=lambda outcome: self.metrics.handshakes.labels(outcome).inc(),
        )
        self.events = Events(self.api, _now)
        self.leader = Leader(
            self.api,
            environment.namespace,
            environment.lease,
            environment.identity,
            environment.lease_seconds,
            changed=self._leads,
        )
        if environment.leader_election:
            self.api.may_write = lambda: self.leader.leads
        self.runtimes = Runtimes(
            self.api, plugins, environment.namespace, self.events, self.metrics, self._runtimes_changed
        )
        reconciler = Reconciler(self.api, self.cache, self.prober, self.events, self._inputs, _now, self.queue.add)
        self.workers = Workers(environment.workers, self.queue, reconciler, self.metrics)
        self._has_routes = False
        self._synced = False
        self._seen: set[Seen] = set()
        self._leading = asyncio.Event()
        self._stop = asyncio.Event()
        self._sweeps: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    # The life of the process.

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT: the keys in work are finished, the Lease is given back (F48)."""
        environment = self.environment
        web = Web(healthy=self._healthy, ready=self._ready, metrics=self._metrics)
        try:
            self.port = await web.start(environment.http_host, environment.http_port)
        except OSError as error:
            where = f"{environment.http_host}:{environment.http_port}"
            raise KaosError(f"cannot listen on {where}: {error.strerror}", hint="set KAOS_HTTP_PORT") from error
        self._hear_signals()
        await self._begin()
        own = [
            self._tend(),
            self.runtimes.publish(self._leading),
            self._watching(self._collections, self, environment.watch_namespaces),
            self._watching(lambda: [CONFIG_MAPS], self.runtimes, (environment.namespace,)),
        ]
        if environment.leader_election:
            own.append(self.leader.run())
        else:
            self._leads(True)
        tasks = [asyncio.create_task(part) for part in own]
        workers = self.workers.start()
        _log.info("started", extra={"namespace": environment.namespace, "port": self.port})
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks, *workers], return_when=asyncio.FIRST_COMPLETED)
        await self.workers.stop()
        await self.prober.close()
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.wait(tasks, timeout=FAREWELL)
        await self.api.close()
        await web.stop()
        for task in done - {stopping}:
            task.result()  # a part that ended by itself has failed

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _begin(self) -> None:
        """What has to be known before anything is planned: the registry, and whether there are routes."""
        pause = 0.2
        while not self._stop.is_set():
            try:
                await self.runtimes.read()
                # Also without a gateway: routes of a time when there was one have to go.
                self._has_routes = await self.api.serves(*ROUTES)
                return
            except ApiError as error:
                _log.warning("the API server cannot be used yet", extra={"error": str(error)})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stop.wait()
                pause = min(pause * 2, 5.0)

    def _inputs(self) -> Inputs:
        return Inputs(self.runtimes.registry, self.plugins, self._settings)

    def _settings(self, namespace: str) -> Settings:
        level = self.cache.level(namespace) if not self.environment.watch_namespaces else ""
        if level not in ("restricted", "baseline", "privileged"):
            level = self.environment.pod_security
        return self.environment.settings(routes=self._has_routes, pod_security=cast(Level, level))

    def _references(self, document: Any) -> tuple[Key, ...]:
        namespace = document["metadata"]["namespace"]
        found = self._kinds[document["kind"]].references(document)
        return tuple(Key(kind, namespace, name) for kind, name in found)

    # What the watches tell.

    def see(self, obj: Object) -> None:
        """An object as it is now."""
        kind, meta = obj["kind"], obj["metadata"]
        if not self._synced:
            self._seen.add((kind, meta.get("namespace", ""), meta["name"]))
        if kind in self._kinds:
            concerned = self.cache.see_resource(obj)
        elif kind == "Pod":
            concerned = _one(self.cache.see_pod(obj))
        elif kind == "Namespace":
            concerned = set(self.cache.see_namespace(obj))
        else:
            concerned = _one(self.cache.see_child(obj))
        for key in concerned:
            self.queue.add(key, fresh=self._synced, cause=version(obj))

    def lose(self, obj: Object) -> None:
        """An object that is gone, as it was last."""
        kind, meta = obj.get("kind", ""), obj["metadata"]
        if kind in self._kinds:
            concerned = self.cache.lose_resource(Key(kind, meta["namespace"], meta["name"]), meta["uid"])
        elif kind == "Pod":
            concerned = _one(self.cache.lose_pod(obj))
        elif kind == "Namespace":
            return
        else:
            whose = owner(obj)
            self.cache.lose_child(child_key(obj), meta["uid"])
            # Also of one that the cache has not seen: the answer to the write that made it may still be on its way.
            concerned = {whose[0]} if whose else set()
        for key in concerned:
            self.queue.add(key, fresh=self._synced)

    async def _sync(self) -> None:
        """Open the gate when the cache is complete."""
        await complete(self.api, self._collections(), self.environment.watch_namespaces, self._seen)
        self._synced = True
        self._seen.clear()
        self._update()

    def _collections(self) -> list[Collection]:
        made = [Collection(API_VERSION, kind.name, kind.plural) for kind in self._kinds.values()]
        made += [
            Collection("apps/v1", "Deployment", "deployments", CHILDREN),
            Collection("v1", "Service", "services", CHILDREN),
            Collection("v1", "ConfigMap", "configmaps", CHILDREN),
            Collection("v1", "Pod", "pods", CHILDREN),
        ]
        if not self.environment.watch_namespaces:
            made.append(Collection("v1", "Namespace", "namespaces"))
        if self._has_routes:
            made.append(Collection(*ROUTES, "httproutes", CHILDREN))
        return made

    async def _watching(self, collections: Any, sink: Any, namespaces: tuple[str, ...]) -> None:
        """Watch for ever. What ends kopf (an ERROR in a stream, a broken line) costs one start of the watches (F8)."""
        pause = 0.5
        while True:
            started = time.monotonic()
            running = asyncio.create_task(
                watch(
                    collections(),
                    sink,
                    namespaces=namespaces,
                    silence=self.environment.stream_silence,
                    trace=self.streams.trace(),
                    begun=self._hear_signals,
                )
            )
            if sink is self:
                self._watch = running
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                running.cancel()
                await asyncio.wait([running], timeout=FAREWELL)
                raise
            if running.cancelled():
                continue
            if running.exception() is None:
                self._stop.set()
            if self._stop.is_set():
                return
            pause = 0.5 if time.monotonic() - started > 60 else min(pause * 2, 8.0)
            extra = {"error": repr(running.exception()), "after": f"{pause:g} s"}
            _log.warning("the watches ended and are opened again", extra=extra)
            await asyncio.sleep(pause)

    def _sweep(self, path: str) -> None:
        """A collection was listed once more: what is missing from it has gone without an event."""
        looking = sweep(self.api, self.cache, path, CHILDREN, self._kinds, self.queue.add)
        # Called from within kopf, but none of its tasks.
        task = asyncio.create_task(looking, context=contextvars.Context())
        self._sweeps.add(task)
        task.add_done_callback(self._sweeps.discard)

    async def _tend(self) -> None:
        """Look at everything again now and then, and whether the cluster has got HTTPRoutes."""
        await self._sync()
        due = time.monotonic() + self.environment.resync
        while True:
            await asyncio.sleep(min(ROUTE_LOOK, max(due - time.monotonic(), 0.1)))
            if self.environment.gateway and not self._has_routes:
                with contextlib.suppress(ApiError):
                    self._has_routes = await self.api.serves(*ROUTES)
                if self._has_routes:
                    _log.info("the cluster has HTTPRoutes now")
                    if self._watch:
                        self._watch.cancel()  # it is begun again with them
                    self._everything()
            if time.monotonic() >= due:
                due += self.environment.resync
                self._everything()

    def _runtimes_changed(self, names: set[str]) -> None:
        """Look at the servers of these runtimes again, and at the agents that refer to one of them."""
        for key, document in list(self.cache.resources.items()):
            if key.kind == "MCPServer" and (document.get("spec") or {}).get("runtime") in names:
                for concerned in (key, *self.cache.referring_to(key)):
                    self.queue.add(concerned)

    def _everything(self) -> None:
        for key in self.cache.resources:
            self.queue.add(key, fresh=False)

    # Who writes, and how it is doing.

    def _leads(self, leads: bool) -> None:
        self.metrics.leads.set(leads)
        if leads:
            self._leading.set()
            self._everything()
        else:
            self._leading.clear()
        self._update()

    def _update(self) -> None:
        self.workers.hold(not (self._leading.is_set() and self._synced))

    def _healthy(self) -> str:
        silence = self.streams.silence()
        return f"a watch has been silent for {silence:.0f} s" if silence > self.environment.unhealthy_silence else ""

    def _ready(self) -> str:
        if self._synced or self.streams.open >= len(self._collections()):
            return ""
        return f"{self.streams.open} of {len(self._collections())} watches are open"

    def _metrics(self) -> bytes:
        self.metrics.waiting.set(len(self.queue))
        return self.metrics.text()


class _Live:
    """The resources as they are whenever somebody iterates."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def __iter__(self) -> Any:
        return iter(list(self._cache.resources.values()))


def _one(key: Key | None) -> set[Key]:
    return {key} if key else set()
