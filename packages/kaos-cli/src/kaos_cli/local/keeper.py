"""Keeps one resource true: what the store wishes -> a running program -> its status. Level-triggered.

Every event (a new spec, an exit, a handshake, a timer) only wakes `keep`, which looks at everything and takes one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kaos_cli.errors import CommandError
from kaos_cli.local import log as logs
from kaos_cli.local.forks import ForkParents
from kaos_cli.local.identity import Identity, end_writing_below
from kaos_cli.local.intent import Intent, read_intent, signature
from kaos_cli.local.launch import Launch
from kaos_cli.local.liveness import hung
from kaos_cli.local.ports import HOST, Ports, is_free
from kaos_cli.local.settings import Settings
from kaos_cli.local.starter import Run, adopt, start
from kaos_cli.local.store import Store
from kaos_cli.local.watcher import Sight, Watcher
from kaos_cli.target import Ref
from kaos_core.errors import KaosError, Problem
from kaos_core.observed import Observed
from kaos_core.status import INVALID_INPUT_EXIT, status

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry

_PORT_PATIENCE = 1.0
"""Seconds for its own port to become free after a stop; container engines take a moment."""


@dataclass(frozen=True)
class World:
    """What the keepers of one supervisor share."""

    store: Store
    settings: Settings
    plugins: Plugins
    registry: Registry
    ports: Ports
    forks: ForkParents
    machine: dict[str, str]
    watcher: Watcher
    changes: FileLock
    session: str


@dataclass(frozen=True)
class Running:
    """The program that runs, as the next supervisor has to know it."""

    pid: int
    created: float
    port: int
    digest: str
    generation: int
    path: str
    ready: str | None
    protocol: str
    container: str
    health: str | None = None


class Keeper:
    """One resource."""

    def __init__(self, ref: Ref, world: World) -> None:
        self.ref = ref
        self.status: dict[str, Any] = world.store.read_json(ref, "status.json")
        self._world = world
        self._folder = world.store.folder(ref)
        self._log = self._folder / "log"
        self._woken = asyncio.Event()
        # What is wished: as last read, and the last that could be launched.
        self._seen: object = None
        self._intent: Intent | None = None
        self._launch: Launch | None = None
        # What is.
        self._run: Run | None = None
        self._running: Running | None = None
        self._watching: asyncio.Task[None] | None = None
        self._sight = Sight()
        # What was: of the last start.
        self._digest = ""
        self._generation: int | None = None
        self._log_start = 0
        self._previous_start = 0
        self._started = 0.0
        self._restarts = 0
        self._exit_code: int | None = None
        self._last_line = ""
        self._failures = 0
        self._not_before = 0.0
        self._port_losses = 0
        # The next start is the same program on another port: no new count.
        self._moving = False
        # Whose status was told: the token of its apply, None before this supervisor told any.
        self._told: str | None = None
        self._living: asyncio.Task[str] | None = None
        self._hung = ""

    @property
    def serving(self) -> int | None:
        """The port it serves on now; None when it is not ready."""
        return self._running.port if self._running and self._sight.ready else None

    @property
    def route(self) -> str:
        """The segment of its kind in the gateway's URLs; empty before the first plan."""
        return self._intent.plan.kind.route if self._intent else ""

    @property
    def identity(self) -> Identity | None:
        """The process it keeps now."""
        return self._run.identity if self._run else None

    def look(self) -> None:
        """Wake when its files have changed, and rotate its log."""
        if signature(self._folder) != self._seen:
            self._woken.set()
        if logs.rotate(self._log, int(self._world.settings.log_bytes)):
            self._log_start = self._previous_start = 0

    def take_over(self) -> None:
        """Go on with the program that an earlier supervisor started, and with its port in any case."""
        local = self._world.store.read_json(self.ref, "local.json")
        if isinstance(local.get("port"), int):
            self._world.ports.remember(self.ref, local["port"])
        try:
            running = Running(**local["run"])
        except (KeyError, TypeError):
            return
        self._log_start, self._previous_start = int(local.get("logStart") or 0), int(local.get("previousStart") or 0)
        self._restarts = int(local.get("restarts") or 0)
        identity = Identity(running.pid, running.created)
        if identity.alive():
            self._went(adopt(identity), running)
        else:
            identity.kill_group()

    async def keep(self) -> None:
        """Keep it true until it is deleted and gone."""
        while True:
            self._woken.clear()
            if not (self._folder / "resource.yaml").exists():
                if await self._remove():
                    return
                continue
            pause: float | None = None
            try:
                await self._end_hung()
                await self._collect()
                self._read()
                await self._step()
                self._publish()
            except CommandError as error:
                # A full disk, mostly. What runs goes on, and it is tried again.
                sys.stderr.write(f"{self.ref}: {error}\n")
                sys.stderr.flush()
                pause = self._world.settings.backoff_limit
            except Exception:  # noqa: BLE001  # a plugin may raise anything, and costs only its own resources
                traceback.print_exc()
                pause = self._world.settings.backoff_limit
            if pause is None and self._run is None and self._not_before:
                pause = max(self._not_before - time.monotonic(), 0.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def stop(self) -> None:
        """End the program, if there is one."""
        run, running = self._run, self._running
        self._unwatch()
        if run is not None and run.identity is not None:
            await run.identity.stop(self._world.settings.stop_grace)
        if running is not None and running.container:
            from kaos_cli.tools import remove_container

            await asyncio.to_thread(remove_container, running.container)
        if running is not None and not running.container and not is_free(running.port):
            await self._end_left()
        # Not earlier: who interrupts this can call it again.
        self._run = self._running = None

    # The steps of `keep`.

    async def _end_hung(self) -> None:
        """End a program that no longer answers; it is an exit like any other then."""
        living, run = self._living, self._run
        if living is None or not living.done() or living.cancelled() or run is None or run.identity is None:
            return
        self._living = None
        if run.exited.done():
            return
        self._hung = living.result()
        logs.say(self._log, f"{self._hung}, so it is stopped")
        await run.identity.stop(self._world.settings.stop_grace)
        await asyncio.wait([run.exited])

    async def _end_left(self) -> None:
        """End what the program left behind in sessions of its own; it writes to the same log."""
        await asyncio.to_thread(end_writing_below, self._folder, self._world.settings.stop_grace)

    async def _collect(self) -> None:
        """Take note of an exit."""
        run = self._run
        if run is None or not run.exited.done():
            return
        self._exit_code = run.exited.result()
        refused = self._exit_code == INVALID_INPUT_EXIT
        self._last_line = self._hung or logs.last_line(self._log, self._log_start, verbatim=refused)
        self._hung = ""
        if run.identity is not None:
            run.identity.kill_group()
        await self._end_left()
        running = self._running
        # A container engine frees the port of one that served a moment later.
        engine_busy = running is not None and bool(running.container) and self._sight.ready
        lost_port = running is not None and not engine_busy and not is_free(running.port)
        self._unwatch()
        self._run = self._running = None
        if time.monotonic() - self._started >= self._world.settings.backoff_reset:
            self._failures = self._port_losses = 0
        if lost_port and not self._port_losses:
            # Somebody else was quicker between our look at the port and the program's own; it starts on another.
            # Only once: a program that itself leaves the port busy would take one after the other.
            self._forget(None)
            self._port_losses = 1
        elif self._exit_code != INVALID_INPUT_EXIT:
            self._back_off()

    def _unwatch(self) -> None:
        self._sight = Sight()
        for task in (self._watching, self._living):
            if task:
                task.cancel()
        self._watching = self._living = None

    def _back_off(self) -> None:
        settings = self._world.settings
        wait = min(settings.backoff_first * 2.0**self._failures, settings.backoff_limit)
        self._failures = min(self._failures + 1, 30)
        self._not_before = time.monotonic() + wait
        how = "" if self._exit_code is None else f" with status {self._exit_code}"
        logs.say(self._log, f"the program ended{how}; it is started again in {wait:g} s")

    def _read(self) -> None:
        """Look at the wish again when a file has changed. What cannot be read changes nothing."""
        now = signature(self._folder)
        if now == self._seen:
            return
        world = self._world
        portless: KaosError | None = None
        try:
            port = world.ports.of(self.ref) or world.ports.choose(self.ref)
        except KaosError as error:
            port, portless = 0, error
        self._seen = now
        intent = read_intent(self.ref, world.store, world.registry, world.plugins, port=port, machine=world.machine)
        if intent is not None and intent.launch is not None and portless is not None:
            self._intent = replace(intent, launch=None)
            self._no_port(portless)
        elif intent is not None:
            if self._intent is None or self._intent.token != intent.token:
                self._port_losses = 0
            self._intent = intent
            self._launch = intent.launch or self._launch

    def _no_port(self, error: KaosError) -> None:
        """Tell it in the status; each look at the store tries again."""
        if self._intent is not None:
            problem = Problem("Progressing", error.message, hint=error.hint)
            self._intent = replace(self._intent, problem=problem)
        self._seen = None

    async def _step(self) -> None:
        intent, launch = self._intent, self._launch
        if intent is None:
            return
        if intent.replicas == 0 and not intent.plan.errors:
            await self.stop()
            self._forget(intent.generation)
            return
        if launch is None:
            return
        same = self._digest == launch.digest
        if same and intent.launch is not None:
            self._generation = intent.generation
            if self._running is not None:
                self._running = replace(self._running, generation=intent.generation)
        if self._run is not None:
            if same or intent.launch is None:
                return
            await self.stop()
        if not same and not self._moving:
            self._forget(None)
        if self._exit_code != INVALID_INPUT_EXIT and time.monotonic() >= self._not_before:
            await self._start(launch, intent)

    def _forget(self, generation: int | None) -> None:
        """Another program, or none: what happened to the last one is no news any more."""
        self._digest, self._generation = "", generation
        self._exit_code, self._last_line = None, ""
        self._restarts = self._failures = 0
        self._not_before = 0.0

    async def _start(self, launch: Launch, intent: Intent) -> None:
        try:
            port = await self._free_port(launch.port)
        except KaosError as error:
            self._no_port(error)
            return
        if port != launch.port and intent.launch is None:
            raise CommandError(f"port {launch.port} is taken, and the spec cannot be planned for another")
        if port != launch.port:
            logs.say(self._log, f"port {launch.port} is taken by another program; from now on this server has {port}")
            self._seen = None
            self._moving = True
            self._woken.set()
            return
        self._restarts += int(self._digest == launch.digest or (self._moving and bool(self._digest)))
        self._moving = False
        self._digest, self._generation = launch.digest, intent.generation
        self._started, self._not_before = time.monotonic(), 0.0
        self._previous_start, self._log_start = self._log_start, logs.size(self._log)
        try:
            run = await start(launch, self._world.store, self._log, self._world.forks)
        except OSError as error:
            self._exit_code = 127
            self._last_line = f"cannot start {error.filename or launch.argv[0]}: {error.strerror or error}"
            self._back_off()
            return
        identity = run.identity or Identity(0, 0.0)
        self._went(
            run,
            Running(
                pid=identity.pid,
                created=identity.created,
                port=port,
                digest=launch.digest,
                generation=intent.generation,
                path=launch.path,
                ready=launch.ready,
                protocol=intent.protocol,
                container=launch.container,
                health=launch.health,
            ),
        )

    async def _free_port(self, port: int) -> int:
        """Its own port if that becomes free in a moment, else another. Raises KaosError: none is free."""
        deadline = time.monotonic() + _PORT_PATIENCE
        while not is_free(port) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return self._world.ports.choose(self.ref)

    def _went(self, run: Run, running: Running) -> None:
        """A program runs: remember and watch it."""
        self._run, self._running = run, running
        self._digest, self._generation = running.digest, running.generation
        run.exited.add_done_callback(lambda _: self._woken.set())
        self._sight = Sight()
        self._watching = asyncio.create_task(
            self._world.watcher.watch(
                port=running.port, path=running.path, ready=running.ready, protocol=running.protocol, tell=self._saw
            )
        )
        self._remember()

    def _saw(self, sight: Sight) -> None:
        self._sight = sight
        running = self._running
        if sight.ready and running is not None and self._living is None:
            # From here on it is this run that counts, and it has to go on answering.
            self._exit_code, self._last_line = None, ""
            self._living = asyncio.create_task(hung(running.port, running.health, self._world.settings))
            self._living.add_done_callback(lambda _: self._woken.set())
        self._woken.set()

    async def _remove(self) -> bool:
        """Stop it and remove its folder; False when it was created again meanwhile."""
        if self._run is not None:
            try:
                self._publish(deleting=True)
            except Exception:  # noqa: BLE001  # what cannot be told must still be stopped
                traceback.print_exc()
        await self.stop()
        while True:
            try:
                with self._world.changes.acquire(blocking=False):
                    if (self._folder / "resource.yaml").exists():
                        return False
                    shutil.rmtree(self._folder, ignore_errors=True)
                    for parent in list(self._folder.parents)[:2]:
                        with contextlib.suppress(OSError):
                            parent.rmdir()
                    self._world.ports.release(self.ref)
                    return True
            except Timeout:
                await asyncio.sleep(0.02)

    # What it tells.

    def _remember(self) -> None:
        """For the next supervisor, and for commands that want the port or a piece of the log."""
        self._world.store.write_json(
            self.ref,
            "local.json",
            {
                "session": self._world.session if self._told is not None else "",
                "token": self._told,
                "port": self._world.ports.of(self.ref),
                "route": self.route,
                "restarts": self._restarts,
                "logStart": self._log_start,
                "previousStart": self._previous_start,
                "run": asdict(self._running) if self._running else None,
            },
        )

    def _publish(self, *, deleting: bool = False) -> None:
        """Write the status when it says something new."""
        if self._intent is None:
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        new = status(self._intent.plan, self._observed(self._intent, deleting=deleting), self.status or None, now)
        self._remember()
        if new != self.status:
            self._world.store.write_json(self.ref, "status.json", new)
            self.status = new
        if self._told != self._intent.token:
            # After the status: whoever waits for the token then reads what belongs to it.
            self._told = self._intent.token
            self._remember()

    def _observed(self, intent: Intent, *, deleting: bool) -> Observed:
        running = self._run is not None
        ready = int(running and self._sight.ready)
        port = self._running.port if self._running else self._world.ports.of(self.ref)
        waits = not running and self._not_before > 0
        return Observed(
            generation=self._generation,
            desired=intent.replicas,
            replicas=int(running),
            ready=ready,
            available=ready,
            updated=int(running and self._generation == intent.generation),
            restarts=self._restarts,
            exit_code=self._exit_code,
            last_line=self._last_line,
            waiting="CrashLoopBackOff" if waits else "",
            waiting_message="the program ended and is started again after a pause" if waits else "",
            references=intent.references,
            programmed=intent.problem,
            handshake=self._sight.handshake if running else None,
            deleting=deleting,
            endpoint=f"http://{HOST}:{port}" if port else "",
        )
