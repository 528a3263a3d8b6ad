"""One main container: a process, started with the local target's own code, watched, and started again as kubelet does.

The pods of one template share it. `state` is what kubelet would tell of it; `changed` is called when that is news.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from controlplane.node.api import Object
from controlplane.node.references import ConfigError, MountError, References
from controlplane.node.state import Ended, State, now
from controlplane.programs import free_ports
from kaos_cli.local.forks import ForkParents
from kaos_cli.local.identity import end_writing_below
from kaos_cli.local.launch import Launch, passed_on, prepare
from kaos_cli.local.liveness import hung
from kaos_cli.local.settings import Settings
from kaos_cli.local.starter import Run, start
from kaos_cli.local.store import Store
from kaos_cli.local.watcher import Sight, Watcher
from kaos_cli.target import Ref
from kaos_core.errors import KaosError
from kaos_core.program import Process

RETRY = 0.5
"""Seconds until kubelet's next attempt at a pull or a reference; the real one takes a minute."""
_TAIL_LINES = 80
_TAIL_BYTES = 2048
"""Of a log as `FallbackToLogsOnError` passes it on."""


class Container:
    """`run` it as a task; cancelled, it ends its process."""

    def __init__(
        self,
        ref: Ref,
        template: Object,
        container: Object,
        *,
        recipe: Callable[[], Awaitable[Process | None]],
        references: References,
        store: Store,
        settings: Settings,
        forks: ForkParents,
        changed: Callable[[], object],
    ) -> None:
        self.state = State()
        self.port = 0
        self.run_now: Run | None = None
        self._ref = ref
        self._template = template
        self._container = container
        self._recipe = recipe
        self._references = references
        self._store = store
        self._settings = settings
        self._forks = forks
        self._watcher = Watcher(settings)
        self._changed = changed
        self._process: Process | None = None
        self._failures = 0
        self.log = store.folder(ref) / "log"

    async def run(self) -> None:
        """Keep it running until cancelled."""
        try:
            while True:
                launch = await self._until_possible()
                began = time.monotonic()
                ended = await self._once(launch)
                if time.monotonic() - began >= self._settings.backoff_reset:
                    self._failures = 0
                self._tell(State(ended=ended, last=self.state.last, restarts=self.state.restarts))
                await self._pause(ended)
                self._tell(replace(self.state, ended=None, last=ended, restarts=self.state.restarts + 1))
        finally:
            await self._end()

    async def _until_possible(self) -> Launch:
        """Image, references and volumes, in kubelet's order; whatever lacks is tried again and again."""
        while True:
            # What it was first stays: a later edit of the owner makes another template, and so another container.
            self._process = process = self._process or await self._recipe()
            if process is None:
                await self._pull_fails()
                continue
            try:
                values = await self._references.values(self._container)
                files = await self._references.files(self._template, self._container)
                self.port = free_ports(1)[0]
                return prepare(
                    self._ref,
                    replace(process, files=files),
                    port=self.port,
                    cwd=self._folder(),
                    folder=self._folder(),
                    values=values,
                    machine=passed_on(os.environ),
                )
            except ConfigError as error:
                self._wait("CreateContainerConfigError", str(error))
            except MountError:
                self._wait("ContainerCreating")
            except KaosError:
                # What stands for the image is not installed on this machine.
                await self._pull_fails()
                continue
            await asyncio.sleep(RETRY)

    async def _pull_fails(self) -> None:
        image = self._container["image"]
        failure = (
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
        )
        if self.state.waiting not in ("ErrImagePull", "ImagePullBackOff"):
            self._wait("ErrImagePull", failure)
        else:
            self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {failure}')
        await asyncio.sleep(RETRY)

    async def _once(self, launch: Launch) -> Ended:
        """Start it, and wait for its end."""
        began, start_of_log = now(), self._log_size()
        try:
            run = await self._start(launch)
        except OSError as error:
            message = f'exec: "{launch.argv[0]}": {error.strerror or error}'
            return Ended(128, "StartError", message, began, now())
        self._tell(replace(self.state, waiting="", message="", running=began, ended=None, ready=False))
        watching = asyncio.create_task(self._watch(launch))
        living = asyncio.create_task(self._until_hung(launch, run))
        try:
            await asyncio.wait([run.exited])
        finally:
            for task in (watching, living):
                task.cancel()
            await asyncio.gather(watching, living, return_exceptions=True)
        status = run.exited.result() or 0
        await self._end()
        code = status if status >= 0 else 128 - status
        message = self._tail(start_of_log) if code else ""
        return Ended(code, "Error" if code else "Completed", message, began, now())

    async def _start(self, launch: Launch) -> Run:
        """Start it; who is cancelled meanwhile knows what to end."""
        starting = asyncio.ensure_future(start(launch, self._store, self.log, self._forks))
        try:
            self.run_now = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self.run_now = await starting
            raise
        return self.run_now

    async def _watch(self, launch: Launch) -> None:
        """The readiness probe; without one it is ready at once."""
        if "readinessProbe" not in self._container:
            self._tell(replace(self.state, ready=True))
            return
        await self._watcher.watch(port=launch.port, path="", ready=launch.ready, protocol="", tell=self._saw)

    def _saw(self, sight: Sight) -> None:
        self._tell(replace(self.state, ready=sight.ready))

    async def _until_hung(self, launch: Launch, run: Run) -> None:
        """The liveness probe."""
        if "livenessProbe" not in self._container:
            return
        while not self.state.ready:
            await asyncio.sleep(self._settings.probe_first)
        await hung(launch.port, launch.health, self._settings)
        if run.identity is not None:
            await run.identity.stop(self._settings.stop_grace)

    async def _pause(self, ended: Ended) -> None:
        """Kubelet starts it again at once after its first end, then after ever longer pauses."""
        self._failures += 1
        if self._failures == 1:
            return
        seconds = min(self._settings.backoff_first * 2 ** (self._failures - 2), self._settings.backoff_limit)
        name = self._container["name"]
        message = f"back-off {seconds:g}s restarting failed container={name} pod={{pod}}"
        self._tell(State("CrashLoopBackOff", message, last=ended, restarts=self.state.restarts))
        await asyncio.sleep(seconds)

    async def _end(self) -> None:
        """End what is left of it, also what it started."""
        run, self.run_now = self.run_now, None
        if run is None:
            return
        if run.identity is not None:
            await run.identity.stop(self._settings.stop_grace)
        await asyncio.to_thread(end_writing_below, self._folder(), self._settings.stop_grace)

    def _wait(self, reason: str, message: str = "") -> None:
        self._tell(State(reason, message, last=self.state.last, restarts=self.state.restarts))

    def _tell(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    def _folder(self) -> Path:
        folder = self._store.folder(self._ref)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _log_size(self) -> int:
        with contextlib.suppress(OSError):
            return self.log.stat().st_size
        return 0

    def _tail(self, start_of_log: int) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(start_of_log, self._log_size() - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "".join(text.splitlines(keepends=True)[-_TAIL_LINES:])
