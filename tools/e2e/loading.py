"""Loading: images of this machine -> the nodes of the current cluster."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

COMMAND = "KAOS_E2E_LOAD"


class LoadError(Exception):
    """There is no way to load images into this cluster, or it failed."""


def command(context: str, refs: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """`$KAOS_E2E_LOAD REF…`; without that, what kind and k3d call it, by the name of the kubeconfig's context.

    Raises:
        LoadError: the cluster is neither's, and nobody said how.
    """
    if given := shlex.split(environ.get(COMMAND, "")):
        return [*given, *refs]
    tool, _, cluster = context.partition("-")
    if tool == "kind" and cluster:
        return ["kind", "load", "docker-image", *refs, "--name", cluster]
    if tool == "k3d" and cluster:
        return ["k3d", "image", "import", *refs, "--cluster", cluster]
    raise LoadError(
        f"how do images get to the nodes of the cluster of context {context!r}? Set {COMMAND} to a command that takes "
        "their references; for a cluster that pulls them from a registry, to `true`"
    )


def load(refs: Sequence[str], environ: Mapping[str, str]) -> None:
    """Load them all with one command. Raises LoadError."""
    given = command(current_context(), refs, environ)
    try:
        done = subprocess.run(given, check=False)  # noqa: S603
    except OSError as error:
        raise LoadError(f"{given[0]}: {error.strerror}") from error
    if done.returncode:
        raise LoadError(f"{shlex.join(given)} failed (status {done.returncode})")


def current_context() -> str:
    """The kubeconfig's; empty when it has none."""
    done = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip()
