"""Watching: kopf's watches -> the cache. kopf lists, watches and reconnects; others decide what an event means.

Nothing is ever written by kopf: no finalizers, no annotations, no events. Its tasks are told apart from ours by a
context variable, for its own way to end cancels every task of the loop, and waits for each without a limit.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from kaos_core.manifests.names import FIELD_MANAGER
from kaos_operator.connection import credentials, session
from kaos_operator.objects import Object

if TYPE_CHECKING:
    import kopf

CHILDREN = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"
CHUNK = 500
_FAREWELLS = 16
"""How often kopf's tasks are asked to end, four times a second."""


_TASKS: contextvars.ContextVar[weakref.WeakSet[asyncio.Task[Any]]] = contextvars.ContextVar("tasks of kopf")


@dataclass(frozen=True)
class Collection:
    """One collection to watch: its API, kind and name there; `selector` filters it at the server."""

    api_version: str
    kind: str
    plural: str
    selector: str = ""

    @property
    def path(self) -> tuple[str, str, str]:
        """Group, version and plural, as kopf wants them."""
        group, _, version = self.api_version.rpartition("/")
        return group, version, self.plural


class Sink(Protocol):
    """Where events go."""

    def see(self, obj: Object) -> None:
        """An object as it is now."""

    def lose(self, obj: Object) -> None:
        """An object that is gone, as it was last."""


async def watch(
    collections: Sequence[Collection],
    sink: Sink,
    *,
    namespaces: Sequence[str],
    silence: float,
    trace: aiohttp.TraceConfig,
    begun: Callable[[], None],
) -> None:
    """Watch until cancelled; an empty list of namespaces watches the whole cluster. A return tells of a signal.

    `begun` is called when kopf has begun, which takes SIGTERM and SIGINT for itself.

    Raises:
        Exception: whatever ends kopf; the caller starts it again.
    """
    import kopf

    registry = kopf.OperatorRegistry()
    _login(registry, trace)
    for collection in collections:
        _handlers(registry, collection, sink)
    parts = kopf.spawn_tasks(
        registry=registry,
        settings=_settings(collections, silence),
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        standalone=True,
        # kopf would ask who this user is, and in a pod a uid has no name.
        identity=FIELD_MANAGER,  # type: ignore[arg-type]  # its type is private
    )
    tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
    asyncio.get_running_loop().set_task_factory(_noted)
    context = contextvars.copy_context()
    context.run(_TASKS.set, tasks)
    try:
        spawned = await asyncio.create_task(parts, context=context)
        begun()
        done, _ = await asyncio.wait(spawned, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


def _noted(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Task[Any]:
    """A task factory: whatever kopf's tasks begin is kopf's too."""
    task = asyncio.Task(coro, loop=loop, **options)
    if (tasks := _TASKS.get(None)) is not None:
        tasks.add(task)
    return task


async def _end(tasks: weakref.WeakSet[asyncio.Task[Any]]) -> None:
    """Cancel them, more than once if need be: a watch may swallow its cancellation (F8)."""
    for _ in range(_FAREWELLS):
        left = [task for task in tasks if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.25)


def _handlers(registry: kopf.OperatorRegistry, collection: Collection, sink: Sink) -> None:
    import kopf

    @kopf.on.event(*collection.path, registry=registry)
    async def event(event: Any, **_: Any) -> None:
        if event["type"] == "DELETED":
            sink.lose(event["object"])
        else:
            sink.see(event["object"])


def _login(registry: kopf.OperatorRegistry, trace: aiohttp.TraceConfig) -> None:
    import kopf

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> Any:
        found = credentials(**kwargs)
        # kopf closes it.
        return kopf.AiohttpSession(server=found.server, aiohttp_session=session(found, limit=0, traces=[trace]))


def _settings(collections: Sequence[Collection], silence: float) -> kopf.OperatorSettings:
    import kopf

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.chunk_size = CHUNK
    settings.watching.inactivity_timeout = silence
    settings.networking.error_backoffs = [0.2, 0.5, 1, 2, 5]
    settings.networking.request_timeout = 60
    settings.persistence.diffbase_storage = _nothing_stored()
    # A worker per object lives as long as this after its last event, and holds memory meanwhile.
    settings.queueing.idle_timeout = 0.2
    for collection in collections:
        if collection.selector:
            settings.watching.label_selectors[collection.path] = collection.selector
    return settings


def _nothing_stored() -> kopf.DiffBaseStorage:
    """What kopf compares each event with; the operator compares with its plan instead, and stores nothing."""
    import kopf

    class Nothing(kopf.DiffBaseStorage):
        def build(self, **_: Any) -> Any:
            return {}

        def fetch(self, **_: Any) -> Any:
            return None

        def store(self, **_: Any) -> None:
            pass

    return Nothing()
