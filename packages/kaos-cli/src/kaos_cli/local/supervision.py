"""The supervisor of one store: it keeps every resource true, and ends when there is none.

It leaves the programs running when it is killed; its successor adopts them. Commands wake it through the fifo `wake`;
that the fifo has a reader says that it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable

from filelock import FileLock

from kaos_cli.errors import CommandError
from kaos_cli.local.bootstrap import HAND_OVER, supervisor_file, wake_path
from kaos_cli.local.fingerprint import fingerprint
from kaos_cli.local.forks import ForkParents
from kaos_cli.local.identity import writing_below
from kaos_cli.local.keeper import Keeper
from kaos_cli.local.launch import for_engines
from kaos_cli.local.ports import HOST, Ports
from kaos_cli.local.settings import Settings
from kaos_cli.local.store import Store
from kaos_cli.local.watcher import Watcher
from kaos_cli.local.world import World
from kaos_cli.target import Ref
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry

_KILL_PATIENCE = 5.0
"""Seconds in which a program that was killed is gone."""


class Supervisor:
    """The keepers of one store, and what they share."""

    def __init__(self, store: Store, settings: Settings, forks: ForkParents) -> None:
        plugins = Plugins.installed()
        machine = for_engines(os.environ)
        self._store = store
        self._settings = settings
        self._world = World(
            store=store,
            settings=settings,
            plugins=plugins,
            registry=Registry.build(plugins),
            ports=Ports(int(settings.first_port), int(settings.last_port)),
            forks=forks,
            machine=machine,
            watcher=Watcher(settings),
            changes=FileLock(store.root / "changes.lock"),
            session=uuid.uuid4().hex,
        )
        self._keepers: dict[Ref, Keeper] = {}
        self._tasks: dict[Ref, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._ending = ""
        self._gateway: asyncio.Task[None] | None = None
        self._gateway_problem = ""
        self._fifo = -1
        self._awaited = True

    async def run(self) -> int:
        """Until the store is empty (the programs are gone then), SIGTERM (stops them) or a successor (leaves them)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, "stop")
        supervisor_file(self._store).unlink(missing_ok=True)
        self._listen()
        # The command that started us writes a resource and closes it, or fails and closes it.
        await loop.connect_read_pipe(lambda: _UntilClosed(self._begin), sys.stdin)
        await self._take_over()
        while not self._ending:
            self._woken.clear()
            self._look()
            if not self._keepers and not self._awaited and self._deaf_and_empty():
                break
            self._announce()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll):
                    await self._woken.wait()
        await self._finish()
        return 0

    def _begin(self) -> None:
        self._awaited = False
        self._woken.set()

    def _end(self, how: str) -> None:
        self._ending = how
        self._woken.set()

    def _listen(self) -> None:
        path = wake_path(self._store)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Read and write: with a writer of our own it never reports its end.
        self._fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fifo, self._hear)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if HAND_OVER in os.read(self._fifo, 4096):
                self._end("hand over")
        self._woken.set()

    def _deaf(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fifo)
        os.close(self._fifo)

    def _deaf_and_empty(self) -> bool:
        """Stop listening, then look once more: a command writes first and wakes then, so nothing is missed."""
        self._deaf()
        if self._store.refs():
            self._listen()
            return False
        self._fifo = -1
        return True

    async def _take_over(self) -> None:
        """Adopt what an earlier supervisor left, and end what belongs to no resource any more."""
        refs = self._store.refs()
        for ref in refs:
            self._keepers[ref] = Keeper(ref, self._world)
            self._keepers[ref].take_over()
        if not refs:
            return
        kept = {keeper.identity.pid for keeper in self._keepers.values() if keeper.identity}
        families = kept | {
            pid for keeper in self._keepers.values() if keeper.identity for pid in keeper.identity.family()
        }
        writers = writing_below(self._store.root)
        families |= {pid for writer in writers if _is_supervisor(writer.pid) for pid in _family(writer.pid)}
        families |= _family(os.getpid())
        strangers = [writer for writer in writers if writer.pid not in families]
        for stranger in strangers:
            stranger.signal(signal.SIGKILL)
        # Their ports are those of their successors.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_PATIENCE):
                await asyncio.gather(*(stranger.ended() for stranger in strangers))
        for ref in refs:
            self._go(ref)

    def _look(self) -> None:
        for ref in self._store.refs():
            if ref not in self._keepers:
                self._keepers[ref] = Keeper(ref, self._world)
                self._keepers[ref].take_over()
                self._go(ref)
            else:
                self._keepers[ref].look()

    def _go(self, ref: Ref) -> None:
        task = self._tasks[ref] = asyncio.create_task(self._keepers[ref].keep())
        task.add_done_callback(lambda done: self._gone(ref, done))

    def _gone(self, ref: Ref, task: asyncio.Task[None]) -> None:
        self._keepers.pop(ref, None)
        self._tasks.pop(ref, None)
        if not task.cancelled() and (error := task.exception()):
            _say(f"{ref}: {error!r}")
        self._woken.set()

    def _announce(self) -> None:
        """Tell commands who we are, once the first look is done."""
        if self._gateway is None and not self._gateway_problem and self._keepers and self._settings.gateway_port:
            self._open_gateway()
        text = json.dumps(
            {
                "pid": os.getpid(),
                "session": self._world.session,
                "fingerprint": fingerprint(),
                "gatewayPort": int(self._settings.gateway_port),
                "gatewayProblem": self._gateway_problem,
            }
        )
        path = supervisor_file(self._store)
        with contextlib.suppress(CommandError):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                self._store.write(path, text)

    def _open_gateway(self) -> None:
        """Listen at once, so that commands can tell whether it works; serve as soon as that is loaded."""
        port = int(self._settings.gateway_port)
        try:
            listener = socket.create_server((HOST, port), backlog=512)
        except OSError as error:
            self._gateway_problem = (
                f"the gateway cannot listen on {HOST}:{port}: {error.strerror}; set KAOS_GATEWAY_PORT"
            )
            _say(self._gateway_problem)
            return
        self._gateway = asyncio.create_task(self._serve_gateway(listener))

    async def _serve_gateway(self, listener: socket.socket) -> None:
        # After the client that tells when servers are ready: that needs the processor more.
        await self._world.watcher.warm()
        from kaos_cli.local.gateway import serve

        await serve(listener, self._keepers)

    async def _finish(self) -> None:
        if self._fifo >= 0:
            self._deaf()
        supervisor_file(self._store).unlink(missing_ok=True)
        # Copies: both empty themselves as tasks end.
        keepers, tasks = list(self._keepers.values()), list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending == "stop":
            await asyncio.gather(*(keeper.stop() for keeper in keepers))
        if self._gateway:
            self._gateway.cancel()
            await asyncio.gather(self._gateway, return_exceptions=True)
        await self._world.forks.close()


class _UntilClosed(asyncio.Protocol):
    """Calls back when the other end of a pipe is closed."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._closed()


def _family(pid: int) -> set[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return {pid}


def _is_supervisor(pid: int) -> bool:
    """Another one may be on its way: it lost the race for the lock, sees that, and ends by itself."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return "kaos_cli.local.supervisor" in psutil.Process(pid).cmdline()
    return False


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
