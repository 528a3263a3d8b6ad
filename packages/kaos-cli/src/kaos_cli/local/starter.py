"""`Launch` -> `Run`: starts a program, forked from its fork parent or by itself, in a session of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kaos_cli.local.forks import ForkParentLostError, ForkParents
from kaos_cli.local.identity import Identity
from kaos_cli.local.launch import Launch
from kaos_cli.local.store import Store, cannot


@dataclass(frozen=True)
class Run:
    """A program that was started.

    `exited` gives its exit status (negative: the signal); None when nobody can know it, since another parent waited.
    """

    identity: Identity | None
    exited: asyncio.Future[int | None]


async def start(launch: Launch, store: Store, log: Path, forks: ForkParents) -> Run:
    """Write the files of the launch and start it.

    Raises:
        CommandError: a file cannot be written.
        OSError: there is no such program or it cannot be executed.
    """
    for path, text in launch.files.items():
        store.write(path, text)
    if forks.can(launch):
        try:
            identity, exited = await forks.get(launch.python, launch.preload).fork(launch, log)
            return Run(identity, asyncio.ensure_future(_exit_of(identity, exited)))
        except ForkParentLostError:
            pass  # Started by itself, the program says what is wrong with its modules in its own log.
    program = shutil.which(launch.argv[0], path=launch.env.get("PATH", ""))
    if program is None:
        raise FileNotFoundError(2, "not found on PATH", launch.argv[0])
    try:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise cannot("write", log, error) from None
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *launch.argv[1:],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env=dict(launch.env),
            cwd=launch.cwd,
            start_new_session=True,
        )
    finally:
        os.close(handle)
    identity = Identity.of(process.pid)
    return Run(identity, asyncio.ensure_future(_status_of(process)))


def adopt(identity: Identity) -> Run:
    """A program that an earlier supervisor started."""

    async def ended() -> int | None:
        await identity.ended()
        return None

    return Run(identity, asyncio.ensure_future(ended()))


async def _exit_of(identity: Identity | None, exited: asyncio.Future[int | None]) -> int | None:
    status = await exited
    if status is None and identity is not None:
        # The fork parent is gone; the program is not.
        await identity.ended()
    return status


async def _status_of(process: asyncio.subprocess.Process) -> int | None:
    return await process.wait()
