"""Program: what to run, before anyone has said where. Both targets are rendered from it.

`resolve` makes one from the runtime and the params, hooks may edit it, `spec.container` is laid over it; then it
becomes the pod's main container and the local `Process`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Env = dict[str, Any]
"""One environment variable in Kubernetes form: `{"name": …, "value": …}` or `{"name": …, "valueFrom": {…}}`."""


@dataclass
class Program:
    """What runs. Mutable, so that the hook `kaos_manifests` can edit it in place.

    Attributes:
        image: the container image; empty when there is none.
        command: replaces the image's entrypoint; empty keeps it.
        args: its arguments; `{port}` is filled in by the target.
        env: environment variables in order, each name once (Kubernetes form, so references stay references).
        env_from: whole ConfigMaps or Secrets (Kubernetes form).
        files: absolute path -> text, for params too large for the environment.
        port: the port it listens on in its container; the local target chooses its own.
        path: the path of its MCP endpoint; empty for programs that are no MCP server.
        health: HTTP path of the liveness probe; None probes TCP.
        ready: HTTP path of the readiness probe; None probes TCP.
        local_command: what stands for image and entrypoint on this machine; empty when it needs a container.
        local_env: environment only the local process gets.
        preload: modules a fork parent imports for `local_command`.
    """

    image: str = ""
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    env: list[Env] = field(default_factory=list)
    env_from: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    port: int = 8000
    path: str = "/mcp"
    health: str | None = None
    ready: str | None = None
    local_command: list[str] = field(default_factory=list)
    local_env: dict[str, str] = field(default_factory=dict)
    preload: list[str] = field(default_factory=list)
    requires: str = ""

    def set_env(self, entries: Iterable[Env]) -> None:
        """Set each entry by its name: replaced where it stands, else appended."""
        places = {entry["name"]: index for index, entry in enumerate(self.env)}
        for entry in entries:
            if entry["name"] in places:
                self.env[places[entry["name"]]] = entry
            else:
                places[entry["name"]] = len(self.env)
                self.env.append(entry)

    def env_names(self) -> set[str]:
        """The names that are set, by value or by reference."""
        return {entry["name"] for entry in self.env}


@dataclass(frozen=True)
class Process:
    """A program on this machine, as the local target and the fake node of the tests run it.

    Attributes:
        argv: the command line; `{python}` and `{port}` are still to be filled in.
        env: environment variables in order; a reference (`valueFrom`) is resolved by whoever starts it.
        env_from: whole ConfigMaps or Secrets, likewise.
        files: absolute path in the container -> text; the target writes them where it may and points
            `<name>_FILE` variables there.
        path: the path of its MCP endpoint.
        health: HTTP path that answers 200 while it lives; None: the port accepts.
        ready: HTTP path that answers 200 when it can serve; None: the port accepts.
        preload: modules a fork parent imports; empty when it is just started.
        image: set when it needs a container on this machine (no local command); argv is then its arguments.
        entrypoint: with `image`: replaces the image's entrypoint; empty keeps it.
        port: with `image`: the port inside the container.
        requires: the program that must be on PATH.
    """

    argv: tuple[str, ...]
    env: tuple[Env, ...] = ()
    env_from: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    path: str = "/mcp"
    health: str | None = None
    ready: str | None = None
    preload: tuple[str, ...] = ()
    image: str = ""
    entrypoint: tuple[str, ...] = ()
    port: int = 8000
    requires: str = ""


def process(program: Program) -> Process:
    """The program as this machine runs it.

    A command of the user's own runs as it is; an image of the user's own needs a container; else the runtime's local
    command stands for image and entrypoint (design, "One neutral Program").
    """
    own = program.env_names()
    local = ({"name": name, "value": value} for name, value in program.local_env.items() if name not in own)
    shared: dict[str, Any] = {
        "env": (*local, *program.env),
        "env_from": tuple(program.env_from),
        "files": dict(program.files),
        "path": program.path,
        "health": program.health,
        "ready": program.ready,
    }
    if program.local_command:
        argv = (*program.local_command, *program.args)
        return Process(argv, preload=tuple(program.preload), requires=program.requires, **shared)
    return Process(
        tuple(program.args), image=program.image, entrypoint=tuple(program.command), port=program.port, **shared
    )
