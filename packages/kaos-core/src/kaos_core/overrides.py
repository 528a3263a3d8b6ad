"""What users lay over the workload: `spec.container` on the program, and what `spec.podSpec` may not ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kaos_core.copies import copy_of
from kaos_core.errors import Problem
from kaos_core.origins import program_leaves
from kaos_core.program import Program
from kaos_core.resolve import Resolved, env_documents

if TYPE_CHECKING:
    from kaos_core.resources.workload import WorkloadSpec


def override_program(program: Program, spec: WorkloadSpec, resolved: Resolved) -> None:
    """`spec.container` on the program, for both targets."""
    from kaos_core.resources.container import ContainerOverride

    override = spec.container or ContainerOverride()
    before = copy_of(program_leaves(program))
    if override.image or override.command:
        program.health = program.ready = None  # the runtime knows nothing of the paths of another program
    if override.command is not None:
        program.command = list(override.command)  # empty: the image's own
    if override.command:
        # The user's command runs here as it is; only an image of theirs needs a container.
        program.local_command, program.preload, program.requires = list(override.command), [], ""
    if override.image:
        program.image = override.image
        program.local_command, program.local_env = [], {}
    if override.args is not None:
        program.args = list(override.args)
    program.set_env(env_documents(override.env or []))
    program.env_from += [source.model_dump(by_alias=True, exclude_unset=True) for source in override.env_from or []]
    if spec.health_check and spec.health_check.path:
        program.health = program.ready = spec.health_check.path
    resolved.origins.note_changes(before, program_leaves(program), "spec.container")


def podspec_problems(spec: WorkloadSpec, container: str) -> list[Problem]:
    """What podSpec may not do: drop the main container, add ephemeral ones, be a pod template (design, "MCPServer")."""
    patch = spec.pod_spec or {}
    problems = [
        Problem(
            "InvalidPodSpec",
            f"{key} is no field of a PodSpec",
            f"spec.podSpec.{key}",
            hint="podSpec is what stands under a pod's spec",
        )
        for key in ("metadata", "spec", "template")
        if key in patch
    ]
    if "ephemeralContainers" in patch:
        problems.append(
            Problem("InvalidPodSpec", "ephemeral containers cannot be declared", "spec.podSpec.ephemeralContainers")
        )
    containers = patch.get("containers", [])
    listed = containers if isinstance(containers, list) else []
    replaced = any(isinstance(item, Mapping) and item.get("$patch") == "replace" for item in listed)
    deleted = any(
        isinstance(item, Mapping) and item.get("name") == container and item.get("$patch") == "delete"
        for item in listed
    )
    if replaced or deleted or ("containers" in patch and containers is None) or "$patch" in patch:
        hint = f"override its fields by name: containers: [{{name: {container}, …}}]"
        problems.append(
            Problem(
                "InvalidPodSpec", f"the container {container} cannot be removed", "spec.podSpec.containers", hint=hint
            )
        )
    return problems
