"""Stage 3, the end of it: manifests and the final program -> the objects as they are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaos_core.copies import copy_of
from kaos_core.manifests import Manifests, Object, workload
from kaos_core.manifests.route import http_route
from kaos_core.origins import object_leaves
from kaos_core.program import Env
from kaos_core.strategic_merge import merge

if TYPE_CHECKING:
    from kaos_core.kinds import Kind
    from kaos_core.resolve import Resolved
    from kaos_core.resources.base import Resource
    from kaos_core.resources.workload import WorkloadSpec
    from kaos_core.settings import Settings


def rendered(
    manifests: Manifests,
    kind: Kind,
    resource: Resource,
    resolved: Resolved,
    pod_env: list[Env],
    settings: Settings,
) -> list[Object]:
    """The objects, finished: program and hooks' edits in the main container, then podSpec. The Deployment is last.

    Raises:
        MergeError: podSpec, or a hook's container, does not fit.
    """
    spec: WorkloadSpec = resource.spec  # type: ignore[attr-defined]  # every kind with a workload has one
    manifests.pod["spec"]["containers"][0] = _main_container(manifests, kind, spec, pod_env)
    config_map = workload.params_config_map(kind, resource, manifests.program)
    if config_map is not None:
        workload.mount_params(manifests, config_map)
    generated = copy_of(manifests.pod["spec"])
    manifests.pod["spec"] = workload.finish_pod(manifests.pod["spec"], kind.container, resolved, spec)
    if spec.pod_spec:
        defaulted = workload.finish_pod(generated, kind.container, resolved, spec.model_copy(update={"pod_spec": None}))
        resolved.origins.note_changes(
            dict(_pod_leaves(defaulted)), dict(_pod_leaves(manifests.pod["spec"])), "spec.podSpec"
        )
    route = http_route(kind, resource, spec, settings)
    for extra in manifests.extra:
        extra["metadata"] = {**workload.metadata(kind, resource, extra["metadata"]["name"]), **extra["metadata"]}
    return [obj for obj in (config_map, *manifests.extra, manifests.service, route, manifests.deployment) if obj]


def _main_container(manifests: Manifests, kind: Kind, spec: WorkloadSpec, pod_env: list[Env]) -> Object:
    program = manifests.program
    of_user = {variable.name for variable in (spec.container and spec.container.env) or []}
    made = workload.container(kind.container, program, pod_env, spec.health_check)
    if "env" in made:
        made["env"] = [entry if entry["name"] in of_user else _literal(entry) for entry in made["env"]]
    main: Object = merge(made, manifests.container, "container")
    if spec.container:
        fields = spec.container.model_dump(
            by_alias=True, exclude_unset=True, include={"image_pull_policy", "resources", "volume_mounts"}
        )
        main = merge(main, fields, "spec.container")
    return main


def _literal(entry: Env) -> Env:
    """A value that arrives as it is: the kubelet reads `$(NAME)` and `$$` in it, and garbles some a `$` stands before.

    What users write in container.env themselves keeps its meaning for Kubernetes; code and instructions have none.
    """
    return {**entry, "value": entry["value"].replace("$", "$$")} if "$" in entry.get("value", "") else entry


def _pod_leaves(pod_spec: Object) -> dict[str, Any]:
    return object_leaves([{"kind": "Deployment", "spec": {"template": {"spec": pod_spec}}}])
