"""The supervisor's side of `forkserver`: one fork parent per Python and set of modules, started when needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kaos_cli.local import forkserver
from kaos_cli.local.identity import Identity
from kaos_cli.local.launch import Launch

Started = tuple[subprocess.Popen[bytes], socket.socket]


class ForkParentLostError(Exception):
    """The fork parent ended before it forked: its modules cannot be imported, or it was killed."""


class ForkParent:
    """One fork parent process."""

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self._process = process
        self._socket = ours
        self._next = 0
        self._forked: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, asyncio.Future[int | None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self.lost = False
        self._listening = asyncio.create_task(self._listen())

    async def fork(self, launch: Launch, log: Path) -> tuple[Identity | None, asyncio.Future[int | None]]:
        """Start `{python} -m MODULE …`: the process (None: it is over already), and its exit status when it comes.

        The status is None when the fork parent was lost meanwhile.

        Raises:
            ForkParentLostError: nothing was started.
        """
        self._next += 1
        loop = asyncio.get_running_loop()
        forked = self._forked[self._next] = loop.create_future()
        exited = self._exits[self._next] = loop.create_future()
        request = {
            "id": self._next,
            "module": launch.argv[2],
            "args": launch.argv[3:],
            "env": dict(launch.env),
            "cwd": str(launch.cwd),
            "log": str(log),
        }
        await self._connected.wait()
        if self.lost or self._writer is None:
            raise ForkParentLostError
        with contextlib.suppress(ConnectionError):
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
        return Identity.of(await forked), exited

    async def _listen(self) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        self._connected.set()
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._hear(json.loads(line))
        self.lost = True
        self._writer.close()
        for forked in self._forked.values():
            forked.set_exception(ForkParentLostError())
        for exited in self._exits.values():
            exited.set_result(None)
        self._forked.clear()
        self._exits.clear()
        await asyncio.to_thread(self._process.wait)

    def _hear(self, message: dict[str, Any]) -> None:
        if "pid" in message:
            self._forked.pop(message["id"]).set_result(message["pid"])
        elif "exit" in message:
            self._exits.pop(message["id"]).set_result(message["exit"])

    async def close(self) -> None:
        """End it; its children stay."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        await self._listening


class ForkParents:
    """All of them, by their Python and their modules."""

    def __init__(self, log: int, started: Mapping[tuple[str, ...], Started]) -> None:
        self._log = log
        self._started = {(sys.executable, modules): one for modules, one in started.items()}
        self._parents: dict[tuple[str, tuple[str, ...]], ForkParent] = {}

    @staticmethod
    def can(launch: Launch) -> bool:
        """Whether a launch is of the form that can be forked."""
        return bool(launch.preload) and launch.argv[:2] == (launch.python, "-m") and hasattr(os, "fork")

    def get(self, python: str, modules: tuple[str, ...]) -> ForkParent:
        """The one for these; a new one when it was lost. Raises OSError when that Python cannot be started."""
        key = python, modules
        parent = self._parents.get(key)
        if parent is None or parent.lost:
            started = self._started.pop(key, None) or forkserver.spawn(modules, self._log, python)
            parent = self._parents[key] = ForkParent(*started)
        return parent

    async def close(self) -> None:
        """End all; their children stay."""
        for python, modules in list(self._started):
            self.get(python, modules)
        for parent in self._parents.values():
            await parent.close()
