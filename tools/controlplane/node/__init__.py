"""`FakeNode`: a node and its controllers for tests. Deployments of KAOS run as processes of this machine.

    api -> workload (one Deployment) -> replicas (one template) -> container (one process)
        -> collector (what owners leave)                           gateway (their Services, behind one port)

Light to import: what it takes to run things is imported when a node is started.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from controlplane.programs import HOST

if TYPE_CHECKING:
    from controlplane.node.cluster import Cluster
    from controlplane.server import ControlPlane
    from kaos_cli.local.settings import Settings

_START_SECONDS = 60


class FakeNodeError(Exception):
    """Something in the node itself went wrong; the cause says what."""


class FakeNode:
    """Runs in a thread of its own from `start` to `stop`, or as a context manager.

    One process stands for all pods of a template. `settings` are the local target's; the defaults are shorter.
    `folder` has the logs; it is gone after `stop`. Without `namespaces` it is responsible for all; with some, others
    can be added.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        namespaces: Sequence[str] | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        self._plane = control_plane
        self._first = tuple(namespaces) if namespaces is not None else ("",)
        self._settings = settings
        self._served: dict[str, Sequence[str]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="kaos-fake-node-"))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-node")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._cluster: Cluster | None = None
        self._failure: BaseException | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def probe_url(self) -> str:
        """For `KAOS_PROBE_URL`: the template by which the operator reaches the Services of this node."""
        return f"http://{HOST}:{self.port}/{{namespace}}/{{service}}{{path}}"

    def url(self, namespace: str, service: str, path: str = "") -> str:
        """The same, filled in."""
        return self.probe_url.format(namespace=namespace, service=service, path=path)

    def serve(self, image: str, command: Sequence[str]) -> None:
        """From now on this command stands for an image and its entrypoint; `{port}` and `{python}` are filled in."""
        self._served[image] = list(command)

    def log(self, namespace: str, deployment: str) -> str:
        """What the newest container of a Deployment has written, all its runs."""
        found = [one.log for one in self._world.containers(namespace, deployment)]
        return found[-1].read_text("utf-8", "replace") if found and found[-1].exists() else ""

    def pids(self, namespace: str, deployment: str) -> list[int]:
        """Its processes that run now, the newest last."""
        runs = [one.run_now for one in self._world.containers(namespace, deployment)]
        return [run.identity.pid for run in runs if run and run.identity]

    def add(self, namespace: str) -> None:
        """Be responsible for another namespace."""
        self._do(self._world.add(namespace))

    def remove(self, namespace: str) -> None:
        """End what runs for a namespace, and let it be; when none is left, forget what was served.

        Raises:
            FakeNodeError: a part of the node failed.
        """
        self._do(self._world.remove(namespace))
        if not self._world.namespaces:
            self._served.clear()

    def _do(self, step: Coroutine[object, object, None]) -> None:
        if self._loop is None or self._failure:
            step.close()
            raise FakeNodeError(f"the fake node does not run: {self._failure!r}") from self._failure
        asyncio.run_coroutine_threadsafe(step, self._loop).result(_START_SECONDS)

    @property
    def _world(self) -> Cluster:
        if self._cluster is None:
            raise FakeNodeError("it has not been started")
        return self._cluster

    def start(self) -> None:
        """Return when it watches and its port is open."""
        self._reaper = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "controlplane.node.reaper", self.folder],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
        )
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise FakeNodeError("it did not start")
        if self._failure:
            self.stop()

    def stop(self) -> None:
        """End its processes; pods and ReplicaSets stay as they are. Raises FakeNodeError when a part of it failed."""
        if self._loop and self._over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)
        if self._thread.ident:
            self._thread.join()
        if self._reaper and self._reaper.stdin:
            self._reaper.stdin.close()
            self._reaper.wait()
        failure, self._failure = self._failure, None
        if failure:
            raise FakeNodeError(f"the fake node failed: {failure!r}") from failure

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001  # `stop` raises it where somebody listens
            self._failure = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        from controlplane.node.cluster import Cluster

        context = ssl.create_default_context(cafile=str(self._plane.authority))
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._cluster = Cluster(
            self._plane.url, context, self._plane.token(), self.folder, self._served, self._settings
        )
        self.port = await self._cluster.start()
        for namespace in self._first:
            await self._cluster.add(namespace)
        self._ready.set()
        await self._cluster.run_until(self._over)
