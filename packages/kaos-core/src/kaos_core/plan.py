"""The page to read first: a resource and the registry -> a Plan. Pure: the same inputs give the same bytes.

    parse       the document is a valid model                              kaos_core.resources
    resolve     the runtime's entry, with params in it, is a program       kaos_core.resolve, kaos_core.kinds
    manifests   a Deployment and a Service around that program             kaos_core.manifests
    hooks       plugins edit program and objects in place                  kaos_core.hooked
    overrides   spec.container on the program: the user has the last word  kaos_core.overrides
    render      the objects, spec.podSpec merged in last                   kaos_core.manifests.render

The operator applies `Plan.objects`, the local target runs `Plan.process`, a dry run prints them.
Precedence: plugin entry < chart ConfigMap < labelled ConfigMaps < plugin hooks < spec.container < spec.podSpec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kaos_core.cautions import cautions
from kaos_core.conditions import ACCEPTED, REASONS
from kaos_core.errors import MergeError, Problem, ResourceError
from kaos_core.hooked import hooked
from kaos_core.manifests import Manifests, Object, names, workload
from kaos_core.manifests.pod_security import violations
from kaos_core.manifests.render import rendered
from kaos_core.overrides import override_program, podspec_problems
from kaos_core.program import Env, Process, process
from kaos_core.resolve import Context, Related, Resolved
from kaos_core.settings import Settings

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
    key: str = names.TOKEN_KEY


@dataclass(frozen=True)
class Plan:
    """What should be there for one resource.

    Attributes:
        kind: of the resource.
        resource: the validated model.
        process: for this machine; None when an error stops the plan, or when it waits.
        objects: for the cluster, in the order they are applied. Empty when an error stops the plan or when it waits:
            then whatever is there stays as it is.
        problems: everything wrong, errors and warnings.
        waiting: what has to be there first, one sentence each (`MCPServer calc is not ready`).
        details: what the status says of it beside its workload (`{"model": "gpt-4"}`).
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
    waiting: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
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

    `related` holds what `Kind.references` names, as far as it exists. None means that nobody looked, as in a dry run:
    then nothing is waited for.

    Raises:
        ResourceError: the document is no valid resource of a known kind; an API server would refuse it.
    """
    kind = kind_of(document, plugins)
    resource = _parse(kind, document)
    context = Context(registry, plugins, related, settings or Settings())
    resolved: Resolved = kind.resolve(resource, context)
    child = names.child_name(kind.role, resource.metadata.name)
    outcome = Plan(kind, resource, endpoint=names.service_origin(child, resource.metadata.namespace))
    return _planned(outcome, resolved, context)


@dataclass(frozen=True)
class Unreadable:
    """Stands for a resource that no model accepts: its metadata, and a spec of which nothing is known."""

    metadata: Any
    spec: Any = None


def refused(document: Mapping[str, Any], plugins: Plugins, error: ResourceError) -> Plan:
    """The plan of a document that an API server let through and the model does not: nothing but what is wrong.

    As with every error in a plan, children stay as they are.
    """
    from kaos_core.resources.base import Metadata

    kind = kind_of(document, plugins)
    known = ("name", "namespace", "uid", "generation")
    metadata = Metadata.model_construct(**{name: document["metadata"].get(name) for name in known})
    problems = tuple(
        replace(problem, reason=problem.reason if problem.reason in REASONS[ACCEPTED] else "InvalidParams")
        for problem in error.problems or (Problem.of(error),)
    )
    child = names.child_name(kind.role, metadata.name)
    endpoint = names.service_origin(child, metadata.namespace)
    return Plan(kind, Unreadable(metadata), problems=problems, endpoint=endpoint)


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
    child = names.child_name(kind.role, resource.metadata.name)
    token = Token(names.token_secret(child), resolved.token_env) if resolved.token_env else None
    if resolved.program is not None and not _stopped(problems):
        manifests = Manifests(
            resolved.program,
            workload.deployment(kind, resource, spec, resolved, context.settings),
            workload.service(kind, resource, spec, sticky=_sticky(resource)),
        )
        manifests = hooked(manifests, kind, resource, context, resolved)
        override_program(manifests.program, spec, resolved)
        problems += podspec_problems(spec, kind.container)
        problems += cautions(spec, manifests.program)
    if manifests is None or _stopped(problems):
        return _with(outcome, problems, resolved)
    run = process(manifests.program)
    try:
        objects = rendered(manifests, kind, resource, resolved, [*_pod_env(token, resolved, context)], context.settings)
    except MergeError as error:
        problems.append(Problem.of(error))
        return _with(outcome, problems, resolved)
    problems += violations(
        objects[-1]["spec"]["template"]["spec"] if objects[-1]["kind"] == "Deployment" else {},
        context.settings.pod_security,
    )
    if _stopped(problems) or resolved.waiting:
        return _with(outcome, problems, resolved)
    return replace(
        outcome,
        process=run,
        objects=tuple(objects),
        problems=tuple(problems),
        details=resolved.details,
        path=manifests.program.path,
        origins=dict(sorted(origins.by_path.items())),
        token=token,
    )


def _with(outcome: Plan, problems: list[Problem], resolved: Resolved) -> Plan:
    path = resolved.program.path if resolved.program else ""
    waiting = tuple(resolved.waiting)
    return replace(outcome, problems=tuple(problems), waiting=waiting, details=resolved.details, path=path)


def _stopped(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _sticky(resource: Any) -> bool:
    transport = getattr(resource.spec, "transport", None)
    return bool(transport and transport.session_management)


def _pod_env(token: Token | None, resolved: Resolved, context: Context) -> Iterator[Env]:
    """Environment that only pods get, each where the program has none of that name."""
    if context.settings.log_level:
        yield {"name": "LOG_LEVEL", "value": context.settings.log_level}
    yield from resolved.cluster_env
    if token is not None:
        yield {"name": token.env, "valueFrom": {"secretKeyRef": {"name": token.secret, "key": token.key}}}
