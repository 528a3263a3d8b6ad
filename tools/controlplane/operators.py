"""`OperatorProcess`: `python -m kaos_operator` as its pod would run it, under exactly its own RBAC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from controlplane.server import ControlPlane

T = TypeVar("T")
PATIENCE = 60.0
PLURALS = ("agents", "mcpservers", "modelapis")
QUICK = {
    "KAOS_LEASE_SECONDS": "5",
    "KAOS_PROBE_INTERVAL": "5",
    "KAOS_PROBE_TIMEOUT": "5",
    "KAOS_PROBE_FIRST": "0.2",
    "KAOS_HTTP_HOST": "127.0.0.1",
    "KAOS_HTTP_PORT": "0",
    "KAOS_LOG_LEVEL": "DEBUG",
}
"""Settings that make tests short; everything else is as it is in a cluster."""


def grant(plane: ControlPlane, namespace: str, namespaces: Sequence[str]) -> Path:
    """Make the operator's ServiceAccount and roles, and a kubeconfig that has exactly those."""
    from kaos_operator.rbac import NAME, manifests

    made = manifests(PLURALS, namespace, namespaces)
    listing = {"apiVersion": "v1", "kind": "List", "items": made}
    done = plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(listing))
    if done.returncode:
        raise RuntimeError(done.stderr)
    return plane.kubeconfig_for(NAME, namespace)


class OperatorProcess:
    """One operator.

    Args:
        plane: the API server.
        namespace: its system namespace.
        namespaces: those it serves; empty for the whole cluster.
        settings: more environment variables.
        kubeconfig: another way to the API server, such as a fault proxy's; by default its own ServiceAccount's.
    """

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        namespaces: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        kubeconfig: Path | None = None,
    ) -> None:
        self.namespace = namespace
        self.kubeconfig = kubeconfig or grant(plane, namespace, namespaces)
        self._log = plane.folder / f"operator-{namespace}-{time.monotonic_ns()}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAOS_")}
        self._env = {
            **kept,
            **QUICK,
            "KUBECONFIG": str(self.kubeconfig),
            "KAOS_NAMESPACE": namespace,
            "KAOS_WATCH_NAMESPACES": ",".join(namespaces),
            "KAOS_IDENTITY": f"operator-{time.monotonic_ns()}",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process that runs or ran last."""
        if self._process is None:
            raise RuntimeError("it was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def begin(self, **settings: str) -> None:
        """Start it and do not wait; with other settings from now on."""
        self._env.update(settings)
        self._from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kaos_operator"],
                env=self._env,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # one call into the C library
            )

    def start(self, **settings: str) -> None:
        """Start it and wait until it is ready."""
        self.begin(**settings)
        self.until(lambda: self.ask("/readyz")[0] == 200)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged since it was started last."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            text = log.read().decode("utf-8", "replace")
        return [_parsed(line) for line in text.splitlines() if line]

    @property
    def port(self) -> int:
        """Where `/metrics`, `/healthz` and `/readyz` are."""
        return int(next(line["port"] for line in self.lines() if line["message"] == "started"))

    def ask(self, path: str) -> tuple[int, str]:
        """One of its own pages: status and text."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> dict[str, float]:
        """`name{labels}` -> value."""
        rows = (line.rpartition(" ") for line in self.ask("/metrics")[1].splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def until(self, look: Callable[[], T], seconds: float = PATIENCE) -> T:
        """What `look` gives as soon as that is true; an OSError or a missing key while looking counts as false."""
        deadline = time.monotonic() + seconds
        while True:
            last: object = None
            try:
                if last := look():
                    return last
            except (OSError, KeyError, StopIteration) as error:
                last = error
            if self._process is not None and self._process.poll() not in (None, 0):
                raise AssertionError(f"the operator ended with {self._process.returncode}: {self.lines()[-5:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s; last {last!r}; the log ends {self.lines()[-8:]}")
            time.sleep(0.03)


def _end_with_parent() -> None:
    """However the tests end, also by SIGKILL: Linux then ends this process."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _parsed(line: str) -> dict[str, Any]:
    try:
        return {"message": "", **json.loads(line)}
    except ValueError:
        return {"message": line, "level": "RAW"}
