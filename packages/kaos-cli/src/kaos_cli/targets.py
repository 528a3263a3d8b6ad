"""The choice of a target: this machine or a cluster. The only module that knows there are two."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kaos_cli.errors import UnreachableError, UsageError
from kaos_cli.names import namespace_name

if TYPE_CHECKING:
    import typer

    from kaos_cli.local.target import LocalTarget
    from kaos_cli.target import Target

DEFAULT_NAMESPACE = "default"


def choose(context: typer.Context, local: bool) -> Target:
    """The target of a command: `--local`, else what KAOS_TARGET says, else the cluster.

    Raises:
        UsageError: KAOS_TARGET names no target. UnreachableError: there is no cluster to talk to.
    """
    if is_local(local):
        return machine()
    raise UnreachableError(
        f"no Kubernetes target in this version yet: {context.command_path} works with --local",
        hint="add --local (or export KAOS_TARGET=local)",
    )


def is_local(local: bool) -> bool:
    """Whether a command means this machine."""
    named = os.environ.get("KAOS_TARGET", "")
    if named not in ("", "local", "cluster"):
        raise UsageError(f"KAOS_TARGET is {named!r}", hint="KAOS_TARGET=local or KAOS_TARGET=cluster")
    return local or named == "local"


def machine() -> LocalTarget:
    """This machine, for the commands that are only about it."""
    from kaos_cli.local.target import LocalTarget

    return LocalTarget()


def namespace_of(target: Target | None, given: str | None) -> str:
    """The namespace of a command: what `-n` says, else the target's default. Raises UsageError for a bad one."""
    if given is not None:
        return namespace_name(given)
    return target.default_namespace() if target else DEFAULT_NAMESPACE
