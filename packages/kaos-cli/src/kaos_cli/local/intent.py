"""The files of one resource -> `Intent`: its plan, and the launch it asks for if there can be one. Only reads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaos_cli.errors import CommandError
from kaos_cli.local.launch import Launch, Values, prepare
from kaos_cli.local.references import unresolved
from kaos_cli.local.store import Store
from kaos_cli.target import Ref
from kaos_core.errors import KaosError, Problem, ResourceError
from kaos_core.plan import Plan, plan

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry

_INPUTS = ("resource.yaml", "secrets.json", "source.json")


@dataclass(frozen=True)
class Intent:
    """What is wished of one resource.

    Attributes:
        replicas: 1, or 0 when it is not to run.
        protocol: which MCP transport to ask for; empty when no handshake is wanted.
        launch: None when the plan has errors, or for one of the two reasons below.
        problem: why it cannot run on this machine.
        references: what has no value.
        token: of the apply that wished it; `wait` looks for its echo in `local.json`.
    """

    plan: Plan
    generation: int
    replicas: int
    protocol: str
    launch: Launch | None = None
    problem: Problem | None = None
    references: tuple[Problem, ...] = ()
    token: str = ""


def signature(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Differs when one of the files that commands write differs."""
    found = []
    for name in _INPUTS:
        try:
            entry = (folder / name).stat()
            found.append((entry.st_mtime_ns, entry.st_ino, entry.st_size))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


def read_intent(
    ref: Ref, store: Store, registry: Registry, plugins: Plugins, *, port: int, machine: Mapping[str, str]
) -> Intent | None:
    """None when the resource is gone.

    Raises:
        CommandError: it cannot be read, or is no valid resource.
    """
    # Before the other files, which are written before it: its token must never stand for less than it was made for.
    source = store.read_json(ref, "source.json")
    resource = store.resource(ref)
    if resource is None:
        return None
    try:
        planned = plan(resource, registry, plugins)
    except ResourceError as error:
        raise CommandError(f"resource.yaml is no valid resource, so what runs stays: {error}") from None
    spec = planned.resource.spec
    validation, transport = getattr(spec, "validation", None), getattr(spec, "transport", None)
    wants_handshake = planned.kind.name == "MCPServer" and (validation is None or validation.enabled)
    python = str(source.get("python") or sys.executable)
    intent = Intent(
        _with_the_way_to(python, planned),
        generation=int(planned.resource.metadata.generation or 1),
        replicas=0 if getattr(spec, "replicas", None) == 0 else 1,
        protocol=((transport.protocol if transport else None) or "auto") if wants_handshake else "",
        token=str(source.get("token") or ""),
    )
    cwd = Path(source.get("folder") or store.folder(ref))
    return _with_launch(intent, ref, store, port, machine, cwd, python)


def _with_the_way_to(python: str, planned: Plan) -> Plan:
    """A runtime that this Python does not know may be one of another virtual environment, which applied it."""
    if python == sys.executable or not any(problem.reason == "UnknownRuntime" for problem in planned.errors):
        return planned
    hint = f"it was applied with {python}, {sys.executable} looks after it: run kaos up of that environment once"
    problems = (
        replace(problem, hint=hint) if problem.reason == "UnknownRuntime" else problem for problem in planned.problems
    )
    return replace(planned, problems=tuple(problems))


def _with_launch(
    intent: Intent, ref: Ref, store: Store, port: int, machine: Mapping[str, str], cwd: Path, python: str
) -> Intent:
    process = intent.plan.process
    if process is None:
        return intent
    values = Values.of(store.read_json(ref, "secrets.json"))
    missing = unresolved(process, values)
    if missing:
        return replace(intent, references=missing)
    engine = ""
    if process.image:
        from kaos_cli.tools import container_engine

        engine = container_engine()
    folder = store.folder(ref)
    try:
        launch = prepare(
            ref,
            process,
            port=port,
            cwd=cwd,
            folder=folder,
            values=values,
            machine=machine,
            engine=engine,
            python=python,
        )
    except KaosError as error:
        return replace(intent, problem=Problem.of(error))
    return replace(intent, launch=launch)
