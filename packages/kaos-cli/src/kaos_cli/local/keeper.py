"""Keeps one resource true: what the store wishes -> a running program -> its status. Level-triggered.

Every event (a new spec, an exit, a handshake, a timer) only wakes `keep`, which looks at everything and takes one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from filelock import Timeout

from kaos_cli.errors import CommandError
from kaos_cli.local.identity import Identity
from kaos_cli.local.intent import Intent, read_intent, signature
from kaos_cli.local.launch import Launch
from kaos_cli.local.ports import HOST
from kaos_cli.local.runs import Runs
from kaos_cli.local.world import World
from kaos_cli.target import Ref
from kaos_core.errors import KaosError, Problem
from kaos_core.observed import Observed
from kaos_core.status import status


class Keeper:
    """One resource."""

    def __init__(self, ref: Ref, world: World) -> None:
        self.ref = ref
        self.status: dict[str, Any] = world.store.read_json(ref, "status.json")
        self._world = world
        self._folder = world.store.folder(ref)
        self._woken = asyncio.Event()
        # What is wished: as last read, and the last that could be launched.
        self._seen: object = None
        self._intent: Intent | None = None
        self._launch: Launch | None = None
        # What is, and what was.
        self._runs = Runs(ref, world, self._woken.set, self._remember)
        # Whose status was told: the token of its apply, None before this supervisor told any.
        self._told: str | None = None

    @property
    def serving(self) -> int | None:
        """The port it serves on now; None when it is not ready."""
        running = self._runs.running
        return running.port if running and self._runs.sight.ready else None

    @property
    def route(self) -> str:
        """The segment of its kind in the gateway's URLs; empty before the first plan."""
        return self._intent.plan.kind.route if self._intent else ""

    @property
    def identity(self) -> Identity | None:
        """The process it keeps now."""
        return self._runs.identity

    def look(self) -> None:
        """Wake when its files have changed, and rotate its log."""
        if signature(self._folder) != self._seen:
            self._woken.set()
        self._runs.rotate_log()

    def take_over(self) -> None:
        """Go on with the program that an earlier supervisor started, and with its port in any case."""
        local = self._world.store.read_json(self.ref, "local.json")
        if isinstance(local.get("port"), int):
            self._world.ports.remember(self.ref, local["port"])
        self._runs.take_over(local)

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
                await self._runs.end_hung()
                if await self._runs.collect():
                    # At once: nobody may read "Ready" while the next start waits for something.
                    self._publish()
                await self._read()
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
            if pause is None:
                pause = self._runs.pause
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def stop(self) -> None:
        """End the program, if there is one."""
        await self._runs.stop()

    # The steps of `keep`.

    async def _read(self) -> None:
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
        # In a thread: a container engine may take its time to say whether it works.
        intent = await asyncio.to_thread(
            read_intent, self.ref, world.store, world.registry, world.plugins, port=port, machine=world.machine
        )
        if intent is not None and intent.launch is not None and portless is not None:
            self._intent = replace(intent, launch=None)
            self._no_port(portless)
        elif intent is not None:
            if self._intent is None or self._intent.token != intent.token:
                self._runs.wished_anew()
            self._intent = intent
            self._launch = intent.launch or self._launch

    def _no_port(self, error: KaosError) -> None:
        """Tell it in the status; each look at the store tries again."""
        if self._intent is not None:
            problem = Problem("Progressing", error.message, hint=error.hint)
            self._intent = replace(self._intent, problem=problem)
        self._seen = None

    async def _step(self) -> None:
        intent, launch, runs = self._intent, self._launch, self._runs
        if intent is None:
            return
        if intent.replicas == 0 and not intent.plan.errors:
            await runs.stop()
            runs.forget(intent.generation)
            return
        if launch is None:
            return
        same = runs.digest == launch.digest
        if same and intent.launch is not None:
            runs.remain(intent.generation)
        if runs.running is not None:
            if same or intent.launch is None:
                return
            await runs.stop()
        if not same:
            runs.replaced()
        if runs.may_start:
            await self._start(launch, intent)

    async def _start(self, launch: Launch, intent: Intent) -> None:
        try:
            port = await self._runs.free_port(launch)
        except KaosError as error:
            self._no_port(error)
            return
        if port == launch.port:
            await self._runs.start(launch, intent.generation, intent.protocol)
        elif intent.launch is None:
            raise CommandError(f"port {launch.port} is taken, and the spec cannot be planned for another")
        else:
            self._runs.move(launch.port, port)
            self._seen = None
            self._woken.set()

    async def _remove(self) -> bool:
        """Stop it and remove its folder; False when it was created again meanwhile."""
        if self._runs.running is not None:
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
                **self._runs.record(),
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
        runs = self._runs
        running = runs.running is not None
        ready = int(running and runs.sight.ready)
        port = runs.running.port if runs.running else self._world.ports.of(self.ref)
        return Observed(
            generation=runs.generation,
            desired=intent.replicas,
            replicas=int(running),
            ready=ready,
            available=ready,
            updated=int(running and runs.generation == intent.generation),
            restarts=runs.restarts,
            exit_code=runs.exit_code,
            last_line=runs.last_line,
            waiting="CrashLoopBackOff" if runs.waits else "",
            waiting_message="the program ended and is started again after a pause" if runs.waits else "",
            references=intent.references,
            programmed=intent.problem,
            handshake=runs.sight.handshake if running else None,
            deleting=deleting,
            endpoint=f"http://{HOST}:{port}" if port else "",
        )
