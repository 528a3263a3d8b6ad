"""The operator: puts the parts together and runs them. Everything that lives as long as the process is made here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from kaos_core.errors import KaosError
from kaos_core.manifests.names import API_VERSION
from kaos_core.manifests.pod_security import Level
from kaos_core.plugins import Plugins
from kaos_core.settings import Settings
from kaos_operator import info
from kaos_operator.api import Api, ApiError, NotLeaderError
from kaos_operator.apply import Refused
from kaos_operator.cache import Cache
from kaos_operator.connection import connect
from kaos_operator.environment import Environment
from kaos_operator.events import Events
from kaos_operator.leader import Leader
from kaos_operator.metrics import Metrics
from kaos_operator.objects import Key, Object, child_key
from kaos_operator.overlays import Overlays
from kaos_operator.probing import Prober
from kaos_operator.queue import WorkQueue
from kaos_operator.reconcile import Inputs, Reconciler
from kaos_operator.streams import Streams
from kaos_operator.sweep import sweep
from kaos_operator.syncing import Seen, complete
from kaos_operator.watching import CHILDREN, Collection, watch
from kaos_operator.web import Web

_log = logging.getLogger(__name__)

ROUTES = ("gateway.networking.k8s.io/v1", "HTTPRoute")
FORBIDDEN_LIMIT = 30.0
"""The longest pause after a Forbidden: rights come back without any event (F5)."""
LEASE_LOOK = 0.2
"""How soon a resource is looked at again whose write came when the Lease had just run out."""
ROUTE_LOOK = 30.0
"""How often it is looked whether the cluster has HTTPRoutes by now."""


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
        self.overlays = Overlays(plugins)
        self.metrics = Metrics(_Live(self.cache))
        self.streams = Streams(self._listed_again)
        self.api = Api(lambda: connect(environment.requests), environment.request_timeout)
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
        self._reconciler = Reconciler(self.api, self.cache, self.prober, self.events, self._inputs, _now)
        self._has_routes = False
        self._synced = False
        self._seen: set[Seen] = set()
        self._leading = asyncio.Event()
        self._may_work = asyncio.Event()
        self._publish = asyncio.Event()
        self._stop = asyncio.Event()
        self._sweeps: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    # The life of the process.

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT: the keys in work are finished, the Lease is given back (F48)."""
        environment = self.environment
        self._loop = asyncio.get_running_loop()
        web = Web(healthy=self._healthy, ready=self._ready, metrics=self._metrics)
        try:
            self.port = await web.start(environment.http_host, environment.http_port)
        except OSError as error:
            where = f"{environment.http_host}:{environment.http_port}"
            raise KaosError(f"cannot listen on {where}: {error.strerror}", hint="set KAOS_HTTP_PORT") from error
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        await self._begin()
        own = [self._tend(), self._publishing(), self._watch_children(), self._watch_registry()]
        if environment.leader_election:
            own.append(self.leader.run())
        else:
            self._leads(True)
        tasks = [asyncio.create_task(part) for part in own]
        workers = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(environment.workers)]
        _log.info("started", extra={"namespace": environment.namespace, "port": self.port})
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks, *workers], return_when=asyncio.FIRST_COMPLETED)
        self._may_work.clear()
        await self._drain(workers)
        await self.prober.close()
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.api.close()
        await web.stop()
        for task in done - {stopping}:
            task.result()  # a part that ended by itself has failed

    async def _begin(self) -> None:
        """What has to be known before anything is planned: the registry, and whether there are routes."""
        pause = 0.2
        while not self._stop.is_set():
            try:
                await self._read_registry()
                self._has_routes = bool(self.environment.gateway) and await self.api.serves(*ROUTES)
                return
            except ApiError as error:
                _log.warning("the API server cannot be used yet", extra={"error": str(error)})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)
                pause = min(pause * 2, 5.0)

    async def _read_registry(self) -> None:
        namespace = self.environment.namespace
        for config_map in await self.api.objects("v1", "ConfigMap", namespace):
            self.overlays.see(config_map)
        self._registry_changed(set())

    async def _drain(self, workers: list[asyncio.Task[None]]) -> None:
        """Let the keys in work be finished, for ten seconds at most."""
        deadline = time.monotonic() + 10
        while self.queue.working and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    # Reconciling.

    async def _work(self) -> None:
        while True:
            await self._may_work.wait()
            key = await self.queue.take()
            if not self._may_work.is_set():
                self.queue.add(key, fresh=False)
                self.queue.done(key)
                continue
            started = time.perf_counter()
            result = await self._once(key)
            self.metrics.reconciles.labels(key.kind, result).inc()
            self.metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
            self.queue.done(key)

    async def _once(self, key: Key) -> str:
        try:
            await self._reconciler.reconcile(key)
        except Refused as refused:
            limit = FORBIDDEN_LIMIT if refused.problem.reason == "Forbidden" else None
            pause = self.queue.failed(key, at_least=refused.retry_after, at_most=limit)
            _say("refused", key, str(refused), pause)
            return "refused"
        except ApiError as error:
            # A lost race is no news: the next look sees what won it (F2).
            level = logging.DEBUG if error.status == 409 else logging.WARNING
            pause = self.queue.failed(key, at_least=error.retry_after)
            _say("the API server did not do it", key, str(error), pause, level)
            return "error"
        except NotLeaderError:
            # Not at once: nothing was awaited, so the loop would never come to renew the Lease, or to anything else.
            self.queue.later(key, LEASE_LOOK)
            return "not leader"
        except Exception as error:  # noqa: BLE001  # a defect of ours or of a plugin costs one resource, not the process
            _log.exception("reconcile failed", extra={"resource": str(key), "error": repr(error)})
            self.queue.failed(key, at_least=1.0)
            return "defect"
        self.queue.succeeded(key)
        return "done"

    def _inputs(self) -> Inputs:
        return Inputs(self.overlays.registry, self.plugins, self._settings)

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
            self.queue.add(key, fresh=self._synced)

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
            concerned = _one(self.cache.lose_child(child_key(obj), meta["uid"]))
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

    async def _watch_children(self) -> None:
        await self._watching(self._collections, self, self.environment.watch_namespaces)

    async def _watch_registry(self) -> None:
        registry = _RegistrySink(self)
        await self._watching(
            lambda: [Collection("v1", "ConfigMap", "configmaps")], registry, (self.environment.namespace,)
        )

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
                )
            )
            if sink is self:
                self._watch = running
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
            if running.cancelled():
                continue
            error = repr(running.exception() or "kopf ended")
            if self._stop.is_set():
                return
            pause = 0.5 if time.monotonic() - started > 60 else min(pause * 2, 8.0)
            _log.warning("the watches ended and are opened again", extra={"error": error, "after": f"{pause:g} s"})
            await asyncio.sleep(pause)

    def _listed_again(self, path: str) -> None:
        """A collection was listed once more; told in kopf's thread."""
        self._loop.call_soon_threadsafe(self._sweep, path)

    def _sweep(self, path: str) -> None:
        """What is missing from a list has gone without an event."""
        task = asyncio.create_task(sweep(self.api, self.cache, path, CHILDREN, self._kinds, self.queue.add))
        self._sweeps.add(task)
        task.add_done_callback(self._sweeps.discard)

    # The registry.

    def _registry_changed(self, names: set[str]) -> None:
        for key, document in self.cache.resources.items():
            if key.kind == "MCPServer" and (document.get("spec") or {}).get("runtime") in names:
                self.queue.add(key)
        problems = self.overlays.problems()
        self.metrics.runtimes.set(len(self.overlays.registry.by_name))
        self.metrics.registry_valid.set(not problems)
        self.metrics.plugin_failures.set(len(self.plugins.failures))
        self._publish.set()

    async def _publishing(self) -> None:
        """Keep `kaos-operator-info` true, and tell a ConfigMap what is wrong with it."""
        while True:
            await self._publish.wait()
            await self._leading.wait()
            self._publish.clear()
            try:
                await info.publish(
                    self.api, info.info(self.environment.namespace, self.plugins, self.overlays.registry)
                )
                for config_map, problem in self.overlays.problems():
                    await self.events.warn(config_map, problem.reason, problem.message)
            except (ApiError, NotLeaderError) as error:
                _log.warning("kaos-operator-info could not be written", extra={"error": str(error)})
                self._publish.set()
                await asyncio.sleep(5)

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
        if self._leading.is_set() and self._synced:
            self._may_work.set()
        else:
            self._may_work.clear()

    def _healthy(self) -> str:
        silence = self.streams.silence()
        return f"a watch has been silent for {silence:.0f} s" if silence > self.environment.unhealthy_silence else ""

    def _ready(self) -> str:
        if self._synced or self.streams.open >= len(self._collections()):
            return ""
        return f"{self.streams.open} of {len(self._collections())} watches are open"

    def _metrics(self) -> bytes:
        self.metrics.waiting.set(len(self.queue))
        for method, count in self.api.sent.items():
            if method != "GET":
                series = self.metrics.writes.labels(method)
                series.inc(count - series._value.get())
        return self.metrics.text()


class _RegistrySink:
    """The events of the system namespace's ConfigMaps."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def see(self, obj: Object) -> None:
        if obj["metadata"]["name"] != info.NAME:
            self._after(lambda overlays: overlays.see(obj))

    def lose(self, obj: Object) -> None:
        self._after(lambda overlays: overlays.lose(obj["metadata"]["name"]))

    def _after(self, change: Callable[[Overlays], set[str]]) -> None:
        """A ConfigMap that broke may change no runtime, and is news all the same (F25)."""
        before = self._operator.overlays.registry
        changed = change(self._operator.overlays)
        if self._operator.overlays.registry is not before:
            self._operator._registry_changed(changed)


class _Live:
    """The resources as they are whenever somebody iterates."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def __iter__(self) -> Any:
        return iter(list(self._cache.resources.values()))


def _one(key: Key | None) -> set[Key]:
    return {key} if key else set()


def _say(what: str, key: Key, error: str, pause: float, level: int = logging.WARNING) -> None:
    _log.log(level, what, extra={"resource": str(key), "error": error, "again": f"{pause:.2g} s"})
