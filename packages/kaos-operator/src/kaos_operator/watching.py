"""Watching: kopf's watches -> the cache. kopf lists, watches and reconnects; others decide what an event means.

Nothing is ever written by kopf: no finalizers, no annotations, no events. It has a thread and a loop of its own: when
it ends, it cancels every task of its loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Collection as Many
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
_FAREWELL = 5.0
"""Seconds that kopf has to close its connections."""


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
) -> None:
    """Watch until cancelled; an empty list of namespaces watches the whole cluster. The sink is called in this loop.

    Raises:
        Exception: whatever ends kopf; the caller starts it again.
    """
    import kopf

    loop = asyncio.get_running_loop()
    registry = kopf.OperatorRegistry()
    _login(registry, trace)
    for collection in collections:
        _handlers(registry, collection, _Across(loop, sink))
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    def run() -> None:
        error: BaseException | None = None
        try:
            _serve(
                kopf.spawn_tasks(
                    registry=registry,
                    settings=_settings(collections, silence),
                    clusterwide=not namespaces,
                    namespaces=list(namespaces),
                    standalone=True,
                    stop_flag=stop,
                )
            )
        except BaseException as problem:  # noqa: BLE001  # the loop that waits for it is told
            error = problem
        with contextlib.suppress(RuntimeError):  # that loop has ended first
            loop.call_soon_threadsafe(_end, ended, error)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    try:
        await asyncio.shield(ended)
    finally:
        stop.set()
        if not ended.done():
            await asyncio.wait([ended], timeout=_FAREWELL)


def _serve(spawned: Coroutine[Any, Any, Many[asyncio.Task[Any]]]) -> None:
    """Run kopf's tasks in a loop of this thread until the first of them ends, and leave none behind.

    Its own way to end waits for every task without a limit, and a watch may swallow its cancellation: then it would
    neither serve nor end (F8).

    Raises:
        Exception: of the task that ended.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def serve() -> None:
        done, _ = await asyncio.wait(await spawned, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    try:
        loop.run_until_complete(serve())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_FAREWELL / 2))
        loop.set_exception_handler(lambda *_: None)  # of those that never end
        loop.close()


def _end(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.cancelled():
        return
    if error is None or not isinstance(error, Exception):
        ended.set_result(None)
    else:
        ended.set_exception(error)


class _Across:
    """A sink in another thread's loop. Calls stay in their order; a burst of them wakes that loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink
        self._calls: deque[tuple[Callable[[Object], None], Object]] = deque()
        self._woken = False

    def see(self, obj: Object) -> None:
        self._call(self._sink.see, obj)

    def lose(self, obj: Object) -> None:
        self._call(self._sink.lose, obj)

    def _call(self, call: Callable[[Object], None], obj: Object) -> None:
        self._calls.append((call, obj))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before the calls are taken: one that is added from here on wakes the loop again.
        self._woken = False
        while self._calls:
            call, obj = self._calls.popleft()
            call(obj)


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
