"""Kubectl: the real one, in one namespace of whatever cluster KUBECONFIG points at. Tests wait with its `wait`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 180
"""Seconds for what a cluster does by itself: start pods, pull, roll out."""
_LISTENING = re.compile(r"127\.0\.0\.1:(\d+)")


class KubectlError(AssertionError):
    """It failed; the message has what it said."""


@dataclass(frozen=True)
class Kubectl:
    """`kubectl("get", "pods")` in a namespace; empty: that of the context."""

    namespace: str = ""

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """What it prints on stdout. Raises KubectlError."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, whatever its status."""
        return subprocess.run(  # noqa: S603
            [*self._command(), *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False
        )

    def apply(self, *documents: dict[str, Any] | Path) -> None:
        """Apply manifests, or files and folders with some. Raises KubectlError."""
        for document in documents:
            if isinstance(document, Path):
                self("apply", "-f", document)
            else:
                self("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, *what: str) -> dict[str, Any]:
        """An object (`"mcp/calc"`), or a list. Raises KubectlError."""
        got: dict[str, Any] = json.loads(self("get", *what, "-o", "json"))
        return got

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All of a kind that bear the labels. Raises KubectlError."""
        listed: list[dict[str, Any]] = self.get(kind, f"--selector={selector}")["items"]
        return listed

    def wait(self, what: str, condition: str, seconds: int = PATIENCE) -> None:
        """`kubectl wait`: a condition (`condition=Ready`) or a value (`jsonpath=…=…`). Raises KubectlError.

        The error has the object as it is then, since that says why.
        """
        done = self.run("wait", what, f"--for={condition}", f"--timeout={seconds}s")
        if done.returncode:
            there = self.run("get", what, "-o", "jsonpath={.status}").stdout
            raise KubectlError(f"{what} in {self.namespace}: no {condition}: {done.stderr.strip()}\nstatus: {there}")

    def wait_reason(self, what: str, kind: str, reason: str, seconds: int = PATIENCE) -> None:
        """Wait until a condition has this reason. Raises KubectlError."""
        path = f'jsonpath={{.status.conditions[?(@.type=="{kind}")].reason}}={reason}'
        self.wait(what, path, seconds)

    @contextmanager
    def forward(self, what: str, port: int = 8000) -> Iterator[str]:
        """`kubectl port-forward`: the origin on this machine for as long as it is needed. Raises KubectlError."""
        with self._listening("port-forward", what, f":{port}", "--address=127.0.0.1") as origin:
            yield origin

    @contextmanager
    def proxy(self) -> Iterator[str]:
        """`kubectl proxy`: the API server with this kubeconfig's rights, for as long as it is needed.

        It accepts any Host, which it checks else, since the service behind it is told that too. Raises KubectlError.
        """
        with self._listening("proxy", "--port=0", "--address=127.0.0.1", "--accept-hosts=.*") as origin:
            yield origin

    @contextmanager
    def _listening(self, *arguments: str) -> Iterator[str]:
        with subprocess.Popen(  # noqa: S603
            [*self._command(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                found = _LISTENING.search(line)
                if found is None:
                    raise KubectlError(f"kubectl {' '.join(arguments)}: {line.strip()}")
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                process.terminate()

    def _command(self) -> list[str]:
        return ["kubectl", *([f"--namespace={self.namespace}"] if self.namespace else [])]
