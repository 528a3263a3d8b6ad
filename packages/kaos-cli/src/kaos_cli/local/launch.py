"""Process + port + resolved references -> `Launch`: all that starting a program takes. No I/O but looking at PATH.

The environment holds what the plan declares and what any program on this machine needs, none of the user's own
variables (B79).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaos_cli.local.ports import HOST
from kaos_cli.target import Ref
from kaos_core.errors import KaosError
from kaos_core.program import Process

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_PASSED_ON = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", *_PROXIES, *map(str.upper, _PROXIES)}
)
_FOR_ENGINES = frozenset(
    {"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"}
    | {"CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINER_SSHKEY", "XDG_RUNTIME_DIR"}
)
"""Where docker and podman find their daemon."""
WAYS_OUT = (
    "or deploy it to a cluster (without --local), or choose a runtime that runs as a process (kaos system runtimes)"
)


@dataclass(frozen=True)
class Launch:
    """A program, ready to start.

    Attributes:
        argv: nothing left to fill in; `argv[0]` is looked up on the PATH of `env`.
        env: the whole environment.
        files: where to write which text before the start.
        preload: modules of the fork parent; empty to start it by itself.
        container: the name of the container that is to be removed with it; empty when there is none.
        digest: of all that makes a restart necessary when it changes.
    """

    ref: Ref
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    port: int
    files: Mapping[Path, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    container: str = ""
    path: str = ""
    ready: str | None = None
    health: str | None = None
    python: str = sys.executable
    digest: str = ""

    @property
    def origin(self) -> str:
        """Where it can be reached, without a path."""
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True)
class Values:
    """What references resolved to: by the name of the env entry that refers, and by whole `envFrom` sources."""

    env: Mapping[str, str] = field(default_factory=dict)
    env_from: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, secrets: Mapping[str, Any]) -> Values:
        """From `secrets.json`."""
        return cls(secrets.get("env") or {}, secrets.get("envFrom") or {})


def passed_on(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of this machine that every program gets."""
    return {name: value for name, value in env.items() if name in _PASSED_ON or name.startswith("LC_")}


def for_engines(env: Mapping[str, str]) -> dict[str, str]:
    """Those, and what the client of a container engine needs beside them; none of it gets into a container."""
    return passed_on(env) | {name: value for name, value in env.items() if name in _FOR_ENGINES}


def prepare(
    ref: Ref,
    process: Process,
    *,
    port: int,
    cwd: Path,
    folder: Path,
    values: Values,
    machine: Mapping[str, str],
    engine: str = "",
    python: str = sys.executable,
) -> Launch:
    """Fill in the process.

    `cwd` is the folder of the YAML file it came from, `folder` that of the resource in the store, `machine` what
    `for_engines` gave, `engine` the docker or podman of this machine, which only containers need, and `python` what
    `{python}` stands for: that of the command which applied it.

    Raises:
        KaosError: reason NoLocalRuntime: it cannot run on this machine, with the ways out.
    """
    places = {path: folder / "files" / path.lstrip("/") for path in process.files}
    if any(".." in path.split("/") for path in process.files):
        raise KaosError(f"a file of {ref} would lead out of its folder", reason="InvalidParams")
    declared = _declared(ref, process, values)
    container = ""
    if process.image:
        # Of this store: two stores, or two users of one engine, may each have a server of that name.
        mark = f"{zlib.crc32(str(folder).encode()):08x}"
        container = f"kaos-{ref.kind.lower()}-{ref.namespace}-{ref.name}-{mark}"
        argv = _container_argv(ref, process, engine, container, port, places, declared)
        # The engine's client hands on what `--env NAME` names: nothing of it stands in arguments or files.
        env = {**{name: value for name, value in declared.items() if not _is_for_client(name)}, **machine}
    else:
        declared = {name: str(places[value]) if value in places else value for name, value in declared.items()}
        argv = [part.replace("{python}", python).replace("{port}", str(port)) for part in process.argv]
        env = {**passed_on(machine), **declared}
        _require(ref, process, argv, env)
    files = {place: process.files[path] for path, place in places.items()}
    digest = hashlib.sha256(
        json.dumps(
            [argv, declared, str(cwd), {str(k): v for k, v in files.items()}, process.path, process.ready],
            sort_keys=True,
        ).encode()
    )
    return Launch(
        ref=ref,
        argv=tuple(argv),
        env=env,
        cwd=cwd,
        port=port,
        files=files,
        preload=() if process.image else process.preload,
        container=container,
        path=process.path,
        ready=process.ready,
        health=process.health,
        python=python,
        digest=digest.hexdigest(),
    )


def _declared(ref: Ref, process: Process, values: Values) -> dict[str, str]:
    own = {"metadata.name": ref.name, "metadata.namespace": ref.namespace, "status.podIP": HOST, "status.hostIP": HOST}
    env = dict(values.env_from)
    for entry in process.env:
        name = entry["name"]
        source = entry.get("valueFrom")
        if not source:
            env[name] = str(entry.get("value") or "")
        elif name in values.env:
            env[name] = values.env[name]
        elif source.get("fieldRef", {}).get("fieldPath") in own:
            env[name] = own[source["fieldRef"]["fieldPath"]]
    return env


def _require(ref: Ref, process: Process, argv: list[str], env: Mapping[str, str]) -> None:
    program = process.requires
    if program and shutil.which(program, path=env.get("PATH", "")) is None:
        raise KaosError(f"{ref} needs {program}, which is not on PATH; install it, {WAYS_OUT}", reason="NoLocalRuntime")
    if not argv:
        raise KaosError(f"{ref} has no command to run; set spec.container.command, {WAYS_OUT}", reason="NoLocalRuntime")


def _container_argv(
    ref: Ref,
    process: Process,
    engine: str,
    name: str,
    port: int,
    places: Mapping[str, Path],
    declared: Mapping[str, str],
) -> list[str]:
    if not engine:
        raise KaosError(
            f"{ref} runs in a container ({process.image}), and neither docker nor podman works here; "
            f"install one, {WAYS_OUT}",
            reason="NoLocalRuntime",
        )
    argv = [engine, "run", "--rm", "--name", name, "-p", f"{HOST}:{port}:{process.port}"]
    for variable, value in declared.items():
        argv += ["--env", f"{variable}={value}" if _is_for_client(variable) else variable]
    for path, place in places.items():
        argv += ["-v", f"{place}:{path}:ro"]
    entrypoint = [part.replace("{port}", str(process.port)) for part in process.entrypoint]
    if entrypoint:
        argv += ["--entrypoint", entrypoint[0]]
    args = [part.replace("{port}", str(process.port)) for part in process.argv]
    return [*argv, process.image, *entrypoint[1:], *args]


def _is_for_client(variable: str) -> bool:
    """One that the engine's client would itself obey: a container's PATH or HOME must not become the client's."""
    return bool(for_engines({variable: ""})) or variable.startswith(("LD_", "XDG_"))
