"""The page to read first: a resource and the registry -> a Plan. Pure: the same inputs give the same bytes.

    parse       the document is a valid model                              kaos_core.resources
    resolve     the runtime's entry, with params in it, is a program       kaos_core.resolve, kaos_core.kinds
    manifests   a Deployment, a Service, a route around that program       kaos_core.manifests
    hooks       plugins edit program and objects in place                  kaos_core.hookspecs
    overrides   spec.container on the program, spec.podSpec on the pod: the user has the last word

The operator applies `Plan.objects`, the local target runs `Plan.process`, a dry run prints them.
Precedence: plugin entry < chart ConfigMap < labelled ConfigMaps < plugin hooks < spec.container < spec.podSpec.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaos_core.errors import MergeError, Problem, ResourceError
from kaos_core.manifests import Manifests, Object, names, workload
from kaos_core.manifests.edited import check_edited
from kaos_core.manifests.pod_security import violations
from kaos_core.manifests.route import http_route
from kaos_core.origins import object_leaves, program_leaves
from kaos_core.program import Process, Program, process
from kaos_core.resolve import Context, Related, Resolved, env_documents, hook_failed
from kaos_core.settings import Settings
from kaos_core.strategic_merge import merge

if TYPE_CHECKING:
    from kaos_core.kinds import Kind
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry
    from kaos_core.resources.base import Resource
    from kaos_core.resources.workload import WorkloadSpec


@dataclass(frozen=True)
class Token:
    """A shared token that a target generates once: the Secret and its key, and the variable that carries it."""

    secret: str
    env: str
    key: str = "token"


@dataclass(frozen=True)
class Plan:
    """What should be there for one resource.

    Attributes:
        kind: of the resource.
        resource: the validated model.
        process: for this machine; None when an error stops the plan.
        objects: for the cluster, in the order they are applied; empty when an error stops the plan.
        problems: everything wrong, errors and warnings.
        endpoint: the Service's URL without a path (S1.17).
        path: the path of its MCP endpoint.
        origins: field path -> the layer that set it.
        token: what the target has to generate, if anything.
    """

    kind: Kind
    resource: Any
    process: Process | None = None
    objects: tuple[Object, ...] = ()
    problems: tuple[Problem, ...] = ()
    endpoint: str = ""
    path: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)
    token: Token | None = None

    @property
    def errors(self) -> list[Problem]:
        """The problems that stop it."""
        return [problem for problem in self.problems if problem.severity == "error"]


def plan(
    document: Mapping[str, Any],
    registry: Registry,
    plugins: Plugins,
    related: Related | None = None,
    settings: Settings | None = None,
) -> Plan:
    """Plan one resource. What is wrong with it is in `Plan.problems`; last good children stay as they are then.

    Raises:
        ResourceError: the document is no valid resource of a known kind; an API server would refuse it.
    """
    kind = kind_of(document, plugins)
    resource = _parse(kind, document)
    context = Context(registry, plugins, related or Related(), settings or Settings())
    resolved: Resolved = kind.resolve(resource, context)
    child = names.child_name(kind.role, resource.metadata.name)
    outcome = Plan(kind, resource, endpoint=names.service_origin(child, resource.metadata.namespace))
    return _planned(outcome, resolved, context)


def kind_of(document: Mapping[str, Any], plugins: Plugins) -> Kind:
    """The kind of a document. Raises ResourceError with the kinds there are."""
    kinds = plugins.kinds()
    name, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(name, str) or name not in kinds:
        raise ResourceError(f"kind: {name!r} is none of {', '.join(sorted(kinds))}", path="kind")
    if version != names.API_VERSION:
        raise ResourceError(
            f"apiVersion: {name} has apiVersion {names.API_VERSION}, found {version!r}", path="apiVersion"
        )
    return kinds[name]


def _parse(kind: Kind, document: Mapping[str, Any]) -> Resource:
    from kaos_core.resources.base import parse

    resource: Resource = parse(kind.load_model(), document)
    return resource


def _planned(outcome: Plan, resolved: Resolved, context: Context) -> Plan:
    kind, resource = outcome.kind, outcome.resource
    spec: WorkloadSpec = resource.spec
    problems, origins = resolved.problems, resolved.origins
    manifests = None
    token = (
        Token(f"{names.child_name(kind.role, resource.metadata.name)}-token", resolved.token_env)
        if resolved.token_env
        else None
    )
    if resolved.program is not None and not _stopped(problems):
        manifests = Manifests(
            resolved.program,
            workload.deployment(kind, resource, spec, resolved, context.settings),
            workload.service(kind, resource, spec, sticky=_sticky(resource)),
        )
        manifests = _hooked(manifests, kind, resource, context, resolved)
        _override_program(manifests.program, spec, resolved)
        problems += _podspec_problems(spec, kind.container)
    if manifests is None or _stopped(problems):
        return _with(outcome, problems, resolved)
    run = process(manifests.program)
    try:
        objects = _rendered(manifests, outcome, resolved, token, context)
    except MergeError as error:
        problems.append(Problem.of(error))
        return _with(outcome, problems, resolved)
    problems += violations(
        objects[-1]["spec"]["template"]["spec"] if objects[-1]["kind"] == "Deployment" else {},
        context.settings.pod_security,
    )
    if _stopped(problems):
        return _with(outcome, problems, resolved)
    return Plan(
        kind,
        resource,
        process=run,
        objects=tuple(objects),
        problems=tuple(problems),
        endpoint=outcome.endpoint,
        path=manifests.program.path,
        origins=dict(sorted(origins.by_path.items())),
        token=token,
    )


def _with(outcome: Plan, problems: list[Problem], resolved: Resolved) -> Plan:
    path = resolved.program.path if resolved.program else ""
    return Plan(outcome.kind, outcome.resource, problems=tuple(problems), endpoint=outcome.endpoint, path=path)


def _stopped(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _sticky(resource: Any) -> bool:
    transport = getattr(resource.spec, "transport", None)
    return bool(transport and transport.session_management)


def _hooked(manifests: Manifests, kind: Kind, resource: Resource, context: Context, resolved: Resolved) -> Manifests:
    """Every plugin's `kaos_manifests` in turn. What a failing one began is undone."""
    entry = resolved.entry
    if entry is None:
        return manifests
    document = resource.document()
    for implementation in context.plugins.implementations("kaos_manifests"):
        edited = deepcopy(manifests)
        try:
            implementation.call(server=deepcopy(document), runtime=entry.runtime, manifests=edited)
            if edited == manifests:
                continue
            check_edited(edited, kind.container)
            run, objects = program_leaves(edited.program), object_leaves(_objects(edited))
        except Exception as error:  # noqa: BLE001 a hook may raise anything, and leave anything behind
            resolved.problems.append(hook_failed("kaos_manifests", implementation.plugin, entry, error))
            continue
        layer = f"hook {implementation.plugin}"
        resolved.origins.note_changes(program_leaves(manifests.program), run, layer)
        resolved.origins.note_changes(object_leaves(_objects(manifests)), objects, layer)
        manifests = edited
    return manifests


def _objects(manifests: Manifests) -> list[Object]:
    return [manifests.deployment, manifests.service, *manifests.extra]


def _override_program(program: Program, spec: WorkloadSpec, resolved: Resolved) -> None:
    """`spec.container` on the program, for both targets."""
    from kaos_core.resources.container import ContainerOverride

    override = spec.container or ContainerOverride()
    before = deepcopy(program_leaves(program))
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


def _rendered(
    manifests: Manifests, outcome: Plan, resolved: Resolved, token: Token | None, context: Context
) -> list[Object]:
    """The objects, finished: program and hooks' edits in the main container, then podSpec. The Deployment is last."""
    kind, resource = outcome.kind, outcome.resource
    spec: WorkloadSpec = resource.spec
    program, settings = manifests.program, context.settings
    extra_env = [*_log_level(settings), *resolved.cluster_env, *_token_env(token)]
    main = merge(
        workload.container(kind.container, program, extra_env, spec.health_check), manifests.container, "container"
    )
    if spec.container:
        fields = spec.container.model_dump(
            by_alias=True, exclude_unset=True, include={"image_pull_policy", "resources", "volume_mounts"}
        )
        main = merge(main, fields, "spec.container")
    manifests.pod["spec"]["containers"][0] = main
    config_map = workload.params_config_map(kind, resource, program)
    if config_map is not None:
        workload.mount_params(manifests, config_map)
    generated = deepcopy(manifests.pod["spec"])
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


def _pod_leaves(pod_spec: Object) -> dict[str, Any]:
    return object_leaves([{"kind": "Deployment", "spec": {"template": {"spec": pod_spec}}}])


def _log_level(settings: Settings) -> list[dict[str, Any]]:
    return [{"name": "LOG_LEVEL", "value": settings.log_level}] if settings.log_level else []


def _token_env(token: Token | None) -> list[dict[str, Any]]:
    if token is None:
        return []
    return [{"name": token.env, "valueFrom": {"secretKeyRef": {"name": token.secret, "key": token.key}}}]


def _podspec_problems(spec: WorkloadSpec, container: str) -> list[Problem]:
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
