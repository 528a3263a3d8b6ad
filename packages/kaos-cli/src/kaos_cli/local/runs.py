"""The runs of one program, one after the other: `Launch` -> `Running`, its port, its exit, the pause before the next.

The `Keeper` says when; what happened stands here until another program takes its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kaos_cli.local import log as logs
from kaos_cli.local.identity import Identity, end_listening_on, end_writing_below, fingerprint_of
from kaos_cli.local.launch import Launch
from kaos_cli.local.liveness import hung
from kaos_cli.local.ports import is_free
from kaos_cli.local.starter import Run, adopt, start
from kaos_cli.local.watcher import Sight
from kaos_cli.local.world import World
from kaos_cli.target import Ref
from kaos_core.status import INVALID_INPUT_EXIT

_PORT_PATIENCE = 1.0
"""Seconds for its own port to become free after a stop; container engines take a moment."""


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
    environment: str = ""


class Runs:
    """Of one resource, at most one at a time.

    Attributes:
        running: the program that runs now.
        sight: what it looks like from outside; empty when none runs.
        digest: of the launch that was started last; empty when that counts no more.
        generation: of the resource, that runs or ran last.
        restarts: how often the same program was started again.
        exit_code: of the last run; None while the present one is ready, or when nobody knows.
        last_line: why it ended.
    """

    def __init__(self, ref: Ref, world: World, wake: Callable[[], object], remember: Callable[[], None]) -> None:
        self.running: Running | None = None
        self.sight = Sight()
        self.digest = ""
        self.generation: int | None = None
        self.restarts = 0
        self.exit_code: int | None = None
        self.last_line = ""
        self._ref = ref
        self._world = world
        self._wake = wake
        self._remember = remember
        self._folder = world.store.folder(ref)
        self._log = self._folder / "log"
        self._log_start = 0
        self._previous_start = 0
        self._run: Run | None = None
        # It outlives its engine's client, when that is killed.
        self._container = ""
        self._watching: asyncio.Task[None] | None = None
        self._living: asyncio.Task[str] | None = None
        self._hung = ""
        self._started = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._port_losses = 0
        # The next start is the same program on another port: no new count.
        self._moving = False

    @property
    def identity(self) -> Identity | None:
        """The process that runs now."""
        return self._run.identity if self._run else None

    @property
    def waits(self) -> bool:
        """Whether it ended and is started again after a pause."""
        return self.running is None and self._not_before > 0

    @property
    def pause(self) -> float | None:
        """Seconds until it may be started again; None when that waits for something else."""
        return max(self._not_before - time.monotonic(), 0.0) if self.waits else None

    @property
    def may_start(self) -> bool:
        """Not after it refused its input, nor before the pause is over."""
        return self.exit_code != INVALID_INPUT_EXIT and time.monotonic() >= self._not_before

    def record(self) -> dict[str, Any]:
        """What `take_over` of the next supervisor needs, and commands that want a piece of the log."""
        return {
            "restarts": self.restarts,
            "logStart": self._log_start,
            "previousStart": self._previous_start,
            "run": asdict(self.running) if self.running else None,
        }

    def take_over(self, record: Mapping[str, Any]) -> None:
        """Go on with the program that an earlier supervisor started."""
        try:
            running = Running(**record["run"])
        except (KeyError, TypeError):
            return
        self._log_start, self._previous_start = int(record.get("logStart") or 0), int(record.get("previousStart") or 0)
        self.restarts = int(record.get("restarts") or 0)
        self._container = running.container
        identity = Identity(running.pid, running.created)
        if identity.alive():
            self._went(adopt(identity), running)
        else:
            identity.kill_group()

    def rotate_log(self) -> None:
        """When it has grown too large."""
        if logs.rotate(self._log, int(self._world.settings.log_bytes)):
            self._log_start = self._previous_start = 0

    async def start(self, launch: Launch, generation: int, protocol: str) -> None:
        """Start the program on the port of the launch. That it cannot be started is an exit like any other.

        Raises:
            CommandError: a file or the log cannot be written.
        """
        self.restarts += int(self.digest == launch.digest or (self._moving and bool(self.digest)))
        self._moving = False
        self.digest, self.generation = launch.digest, generation
        self._started, self._not_before = time.monotonic(), 0.0
        self._previous_start, self._log_start = self._log_start, logs.size(self._log)
        try:
            run = await start(launch, self._world.store, self._log, self._world.forks)
        except OSError as error:
            self.exit_code = 127
            self.last_line = f"cannot start {error.filename or launch.argv[0]}: {error.strerror or error}"
            self._back_off()
            return
        identity = run.identity or Identity(0, 0.0)
        self._went(
            run,
            Running(
                pid=identity.pid,
                created=identity.created,
                port=launch.port,
                digest=launch.digest,
                generation=generation,
                path=launch.path,
                ready=launch.ready,
                protocol=protocol,
                container=launch.container,
                health=launch.health,
                environment=fingerprint_of(launch.env),
            ),
        )

    async def free_port(self, launch: Launch) -> int:
        """Its own port if that becomes free in a moment, else another. Raises KaosError: none is free."""
        # Also one that no record knows: the supervisor was killed between a start and the note about it.
        self._container = launch.container or self._container
        await self._remove_container()
        await _becomes_free(launch.port)
        return self._world.ports.choose(self._ref)

    def move(self, port: int, other: int) -> None:
        """The next start is the same program on another port."""
        logs.say(self._log, f"port {port} is taken by another program; from now on this server has {other}")
        self._moving = True

    def remain(self, generation: int) -> None:
        """The program is that of this generation too."""
        self.generation = generation
        if self.running is not None:
            self.running = replace(self.running, generation=generation)

    def replaced(self) -> None:
        """Another program is next, unless it is the same on another port."""
        if not self._moving:
            self.forget(None)

    def forget(self, generation: int | None) -> None:
        """Another program, or none: what happened to the last one is no news any more."""
        self.digest, self.generation = "", generation
        self.exit_code, self.last_line = None, ""
        self.restarts = self._failures = 0
        self._not_before = 0.0

    def wished_anew(self) -> None:
        """Somebody applied it: that it lost its port before counts no more."""
        self._port_losses = 0

    async def stop(self) -> None:
        """End the program, if there is one."""
        run, running = self._run, self.running
        self._unwatch()
        if run is not None and run.identity is not None:
            await run.identity.stop(self._world.settings.stop_grace)
        await self._remove_container()
        if running is not None and not running.container and not is_free(running.port):
            await self._end_left()
        # Not earlier: who interrupts this can call it again.
        self._run = self.running = None

    async def end_hung(self) -> None:
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

    async def collect(self) -> bool:
        """Take note of an exit; whether there was one."""
        run = self._run
        if run is None or not run.exited.done():
            return False
        self.exit_code = run.exited.result()
        refused = self.exit_code == INVALID_INPUT_EXIT
        self.last_line = self._hung or logs.last_line(self._log, self._log_start, verbatim=refused)
        self._hung = ""
        if run.identity is not None:
            run.identity.kill_group()
        await self._end_left()
        await self._remove_container()
        running = self.running
        # A container engine, or one that was killed with the group, may hold it for a moment.
        lost_port = running is not None and not await _becomes_free(running.port)
        self._unwatch()
        self._run = self.running = None
        if time.monotonic() - self._started >= self._world.settings.backoff_reset:
            self._failures = self._port_losses = 0
        if lost_port and not self._port_losses:
            # Somebody else was quicker between our look at the port and the program's own; it starts on another.
            # Only once: a program that itself leaves the port busy would take one after the other.
            self.forget(None)
            self._port_losses = 1
        elif self.exit_code != INVALID_INPUT_EXIT:
            self._back_off()
        return True

    async def _end_left(self) -> None:
        """End what the program left behind in sessions of its own: it writes to the same log, or holds its port."""
        grace, running = self._world.settings.stop_grace, self.running
        await asyncio.to_thread(end_writing_below, self._folder, grace)
        if running is not None and not running.container and not is_free(running.port):
            await asyncio.to_thread(end_listening_on, running.port, running.environment, running.created, grace)

    async def _remove_container(self) -> None:
        if self._container:
            from kaos_cli.tools import remove_container

            await asyncio.to_thread(remove_container, self._container)
            self._container = ""

    def _back_off(self) -> None:
        settings = self._world.settings
        wait = min(settings.backoff_first * 2.0**self._failures, settings.backoff_limit)
        self._failures = min(self._failures + 1, 30)
        self._not_before = time.monotonic() + wait
        how = "" if self.exit_code is None else f" with status {self.exit_code}"
        logs.say(self._log, f"the program ended{how}; it is started again in {wait:g} s")

    def _went(self, run: Run, running: Running) -> None:
        """A program runs: remember and watch it."""
        self._run, self.running = run, running
        self._container = running.container
        self.digest, self.generation = running.digest, running.generation
        run.exited.add_done_callback(lambda _: self._wake())
        self.sight = Sight()
        self._watching = asyncio.create_task(
            self._world.watcher.watch(
                port=running.port, path=running.path, ready=running.ready, protocol=running.protocol, tell=self._saw
            )
        )
        self._remember()

    def _saw(self, sight: Sight) -> None:
        self.sight = sight
        running = self.running
        if sight.ready and running is not None and self._living is None:
            # From here on it is this run that counts, and it has to go on answering.
            self.exit_code, self.last_line = None, ""
            self._living = asyncio.create_task(hung(running.port, running.health, self._world.settings))
            self._living.add_done_callback(lambda _: self._wake())
        self._wake()

    def _unwatch(self) -> None:
        self.sight = Sight()
        for task in (self._watching, self._living):
            if task:
                task.cancel()
        self._watching = self._living = None


async def _becomes_free(port: int) -> bool:
    deadline = time.monotonic() + _PORT_PATIENCE
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
