"""What a hook has to leave behind: `kaos_manifests` may edit anything, but what it returns must still be a workload."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kaos_core.errors import MergeError
from kaos_core.manifests.pod_shape import check_shape
from kaos_core.program import Program
from kaos_core.strategic_merge import merge

if TYPE_CHECKING:
    from kaos_core.manifests import Manifests


def check_edited(manifests: Manifests, main: str) -> None:
    """Check what a hook made of the manifests; `main` is the main container.

    Raises:
        TypeError, LookupError, ValueError: it is no workload any more. Whose hook did it is the caller's to say.
    """
    _check_program(manifests.program)
    try:
        _check_objects(manifests, main)
    except MergeError as error:
        raise ValueError(str(error)) from error  # it says nothing about the user's podSpec


def _check_objects(manifests: Manifests, main: str) -> None:
    pod = manifests.pod
    if manifests.container["name"] != main:
        raise ValueError(f"the first container must be {main}, found {manifests.container['name']!r}")
    merge({}, pod["spec"])  # every list that merges has its keys
    check_shape(pod["spec"], main, "spec")
    for labels in (pod["metadata"]["labels"], manifests.deployment["spec"]["selector"]["matchLabels"]):
        missing = manifests.service["spec"]["selector"].items() - labels.items()
        if missing:
            raise ValueError(f"the labels {dict(missing)} by which the Service finds its pods are gone")
    for extra in manifests.extra:
        if not all(isinstance(extra[key], str) for key in ("apiVersion", "kind")):
            raise TypeError(f"{extra!r} is no object")
        _ = extra["metadata"]["name"]


def _check_program(program: Program) -> None:
    if not isinstance(program, Program):
        raise TypeError(f"manifests.program is {program!r}")
    fresh = Program()
    for item in fields(Program):
        value, usual = getattr(program, item.name), getattr(fresh, item.name)
        if usual is not None and not isinstance(value, type(usual)):
            raise TypeError(f"program.{item.name} is {value!r}")
    for name in ("command", "args", "local_command", "preload"):
        _check_texts(name, getattr(program, name))
    _check_texts("files", [*program.files, *program.files.values()])
    _check_texts("env", [entry["name"] for entry in program.env])


def _check_texts(name: str, values: list[Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"program.{name} has {value!r}, which is no text")
