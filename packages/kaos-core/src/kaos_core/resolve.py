"""Stage 2 of the flow: a resource and the registry -> what to run, and everything that is wrong with it.

This module resolves MCPServers and holds what all kinds share; `kinds/` has the other two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaos_core.copies import copy_of
from kaos_core.errors import KaosError, Problem, ResolveError
from kaos_core.hookspecs import RenderedParams
from kaos_core.manifests import names
from kaos_core.origins import Origins
from kaos_core.program import Env, Program
from kaos_core.settings import Settings

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Entry, Registry
    from kaos_core.resources.mcpserver import MCPServer
    from kaos_core.resources.workload import WorkloadSpec

ENV_LIMIT = 64 * 1024
"""Bytes of params that go into the environment; more goes into a file (design, "params")."""
EXEC_LIMIT = 128 * 1024 - 1
"""Bytes of one `NAME=value`, from which on Linux refuses to start the program (MAX_ARG_STRLEN, less the NUL)."""


@dataclass(frozen=True)
class Related:
    """The resources that `Kind.references` names, as documents by `(kind, name)`; what is not here does not exist."""

    documents: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The document, or None when it is not there."""
        return self.documents.get((kind, name))


@dataclass(frozen=True)
class Context:
    """What stage 2 may look at beside the resource; `related` is None when nobody looked (a dry run)."""

    registry: Registry
    plugins: Plugins
    related: Related | None
    settings: Settings


@dataclass
class Resolved:
    """What a resource comes to before any manifest is written.

    Attributes:
        program: what runs; None when a problem leaves nothing to run, or when it runs elsewhere.
        entry: the runtime; None for kinds that have none.
        problems: everything wrong so far.
        waiting: what has to be there first, one sentence each; empty when it can start.
        details: what the status says of it beside its workload (`{"model": "gpt-4"}`).
        origins: which layer set which field.
        cluster_env: environment that only pods get.
        token_env: the variable that carries a token the operator generates, empty when none is needed.
        run_as_user: the uid the image needs.
        read_only: whether the image runs with a read-only root filesystem.
        service_account_token: whether its pods talk to the Kubernetes API.
        init_containers: run before it.
        volumes: volumes of the pod that the program needs; `volume_mounts` are its mounts of them.
    """

    program: Program | None = None
    entry: Entry | None = None
    problems: list[Problem] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=Origins)
    cluster_env: list[Env] = field(default_factory=list)
    token_env: str = ""
    run_as_user: int | None = None
    read_only: bool = False
    service_account_token: bool = False
    init_containers: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    volume_mounts: list[dict[str, Any]] = field(default_factory=list)


def resolve_mcpserver(server: MCPServer, context: Context) -> Resolved:
    """The runtime's entry as a program, with the server's params in it."""
    resolved = Resolved()
    spec, document = server.spec, server.document()
    try:
        entry = context.registry.get(spec.runtime)
    except ResolveError as error:
        resolved.problems.append(Problem.of(error))
        return resolved
    runtime = entry.runtime
    resolved.entry = entry
    transport = (spec.transport and spec.transport.type) or runtime.transport
    if transport == "stdio":
        message = f"runtime {runtime.name} speaks stdio, and no adapter for it is installed"
        resolved.problems.append(
            Problem("UnsupportedTransport", message, "spec.runtime", hint="use a runtime with transport http")
        )
    program = Program(
        image=runtime.image,
        command=list(runtime.command),
        args=list(runtime.args),
        port=(spec.transport and spec.transport.port) or runtime.port,
        path=(spec.transport and spec.transport.path) or runtime.path,
        health=runtime.health,
        ready=runtime.ready,
    )
    if runtime.local:
        program.local_command = list(runtime.local.command)
        program.local_env = dict(runtime.local.env)
        program.preload = list(runtime.local.preload)
        program.requires = runtime.local.requires
    resolved.origins.note_program(program, entry.origins)
    resolved.program = program
    resolved.problems += validate(document, context, entry)
    if not any(problem.severity == "error" for problem in resolved.problems):
        _set_params(server, document, context, resolved)
    program.set_env(
        telemetry_env(server.spec, server.metadata.name, server.metadata.namespace, context.settings, resolved.problems)
    )
    _check_env(server, entry, resolved.problems)
    resolved.cluster_env = _cluster_env(server.metadata.name, server.metadata.namespace, context.settings)
    set_by_user = {variable.name for variable in (spec.container and spec.container.env) or []}
    if runtime.token_env and runtime.token_env not in set_by_user:
        _set_token(server, runtime.token_env, program, resolved)
    resolved.run_as_user = runtime.run_as_user
    resolved.read_only = runtime.read_only_root_filesystem and not (spec.container and spec.container.image)
    resolved.service_account_token = runtime.service_account_token
    return resolved


def validate(document: Mapping[str, Any], context: Context, entry: Entry) -> list[Problem]:
    """What plugins find wrong. A plugin that raises costs only the servers of its own runtimes (design, "Plugins")."""
    problems: list[Problem] = []
    for implementation in context.plugins.implementations("kaos_validate"):
        try:
            found = implementation.call(server=copy_of(document), runtime=entry.runtime)
            problems += _checked(found)
        except Exception as error:  # noqa: BLE001 a hook may raise anything
            problems.append(hook_failed("kaos_validate", implementation.plugin, entry, error))
    return problems


def _checked(found: Any) -> list[Problem]:
    if not isinstance(found, list | tuple | None) or not all(isinstance(item, Problem) for item in found or ()):
        raise TypeError(f"it returned {found!r}, which is no list of Problems")
    return list(found or ())


def hook_failed(hook: str, plugin: str, entry: Entry, error: Exception) -> Problem:
    """A hook that raised: an error for the servers of its own plugin's runtimes, a warning for all others."""
    if isinstance(error, KaosError) and error.reason not in ("Error", "PluginFailed"):
        return Problem.of(error)
    message = f"plugin {plugin}: {hook} failed: {type(error).__name__}: {' '.join(str(error).split())}"
    own = entry.plugin == plugin
    return Problem(
        "PluginFailed",
        message,
        severity="error" if own else "warning",
        hint="update or uninstall the plugin" if own else "",
    )


def telemetry_env(
    spec: WorkloadSpec, name: str, namespace: str, settings: Settings, problems: list[Problem]
) -> list[Env]:
    """OpenTelemetry's own variables (peers agree on these); a missing endpoint is a warning."""
    if not (spec.telemetry and spec.telemetry.enabled):
        return []
    endpoint = spec.telemetry.endpoint or settings.otlp_endpoint
    if not endpoint:
        message = "telemetry is enabled, but neither the resource nor the operator names an endpoint"
        hint = "name one here, or set KAOS_OTLP_ENDPOINT for the operator"
        problems.append(Problem("TelemetryEndpointMissing", message, "spec.telemetry.endpoint", "warning", hint))
        return []
    return [
        {"name": "OTEL_SDK_DISABLED", "value": "false"},
        {"name": "OTEL_SERVICE_NAME", "value": name},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": f"service.namespace={namespace},kaos.resource.name={name}"},
    ]


def env_documents(variables: Iterable[Any]) -> list[Env]:
    """Environment variables of a model in Kubernetes form."""
    return [variable.model_dump(by_alias=True, exclude_unset=True) for variable in variables]


def _set_params(server: MCPServer, document: Mapping[str, Any], context: Context, resolved: Resolved) -> None:
    spec, entry, program = server.spec, resolved.entry, resolved.program
    if entry is None or program is None or (spec.params is None and spec.params_from is None):
        return
    runtime = entry.runtime
    if not runtime.params_env_var and spec.params_from is not None:
        message = f"runtime {runtime.name} takes no params from elsewhere: it names no paramsEnvVar"
        resolved.problems.append(Problem("InvalidParams", message, "spec.paramsFrom"))
    elif spec.params_from is not None:
        source = spec.params_from.model_dump(by_alias=True, exclude_unset=True)
        program.set_env([{"name": runtime.params_env_var, "valueFrom": source}])
        resolved.origins.note("env." + runtime.params_env_var, "spec.paramsFrom")
    elif spec.params is not None:
        try:
            rendered = _rendered(document, context, entry, spec.params, resolved.problems)
        except KaosError as error:
            resolved.problems.append(
                Problem(error.reason, error.message, error.path or "spec.params", "error", error.hint)
            )
            return
        env, files = _file_if_large(rendered, runtime.params_env_var if runtime.params_file else "")
        large = [name for name, value in env.items() if len(f"{name}={value}".encode()) >= EXEC_LIMIT]
        if large:
            message = f"{large[0]} would have more than {EXEC_LIMIT:,} bytes, with which no program can start"
            hint = "make them shorter: this runtime does not read them from a file"
            resolved.problems.append(Problem("InvalidParams", message, "spec.params", hint=hint))
            return
        program.set_env({"name": name, "value": value} for name, value in env.items())
        program.args += rendered.args
        program.files.update(files)
        for name in env:
            resolved.origins.note(f"env.{name}", "spec.params")
        if rendered.args:
            resolved.origins.note("args", "spec.params")


def _rendered(
    document: Mapping[str, Any], context: Context, entry: Entry, params: str, problems: list[Problem]
) -> RenderedParams:
    """What the first plugin that answers makes of params; else they go verbatim into the runtime's variable."""
    for implementation in context.plugins.implementations("kaos_render_params"):
        try:
            rendered = implementation.call(server=copy_of(document), runtime=entry.runtime)
            if not isinstance(rendered, RenderedParams | None):
                raise TypeError(f"it returned {rendered!r}, which is no RenderedParams")
        except KaosError:
            raise
        except Exception as error:
            problem = hook_failed("kaos_render_params", implementation.plugin, entry, error)
            if problem.severity == "error":
                raise KaosError(problem.message, reason=problem.reason, hint=problem.hint) from error
            problems.append(problem)
            continue
        if rendered is not None:
            return rendered
    if not entry.runtime.params_env_var:
        raise KaosError(
            f"runtime {entry.runtime.name} takes no params", reason="InvalidParams", hint="leave spec.params out"
        )
    return RenderedParams(env={entry.runtime.params_env_var: params})


def _file_if_large(rendered: RenderedParams, variable: str) -> tuple[dict[str, str], dict[str, str]]:
    """Large params move into a file, for runtimes that can read one: an environment string has 128 KiB at most."""
    env, files = dict(rendered.env), dict(rendered.files)
    if variable in env and len(env[variable].encode()) > ENV_LIMIT:
        path = f"{names.PARAMS_FOLDER}/{names.PARAMS_KEY}"
        files[path] = env.pop(variable)
        env[f"{variable}_FILE"] = path
    return env, files


def _check_env(server: MCPServer, entry: Entry, problems: list[Problem]) -> None:
    spec, runtime = server.spec, entry.runtime
    given = {variable.name: variable for variable in (spec.container and spec.container.env) or []}
    if runtime.params_env_var in given and (spec.params is not None or spec.params_from is not None):
        field_name = "spec.params" if spec.params is not None else "spec.paramsFrom"
        message = f"container.env sets {runtime.params_env_var}, and so does {field_name}"
        problems.append(Problem("InvalidParams", message, "spec.container.env", hint="give one of them"))
    if spec.container and spec.container.env_from:
        return  # they may hold anything; whether they do shows when it starts
    missing = [
        name for name in runtime.required_env if name not in given or not (given[name].value or given[name].value_from)
    ]
    if missing:
        message = f"runtime {runtime.name} needs {', '.join(missing)} in container.env"
        hint = "give each a value, or better valueFrom.secretKeyRef"
        problems.append(Problem("MissingRequiredEnv", message, "spec.container.env", hint=hint))


def _set_token(server: MCPServer, variable: str, program: Program, resolved: Resolved) -> None:
    """The server's bearer token: the user's Secret, else one that the target generates."""
    if server.spec.auth:
        source = server.spec.auth.bearer.secret_key_ref.model_dump(by_alias=True, exclude_unset=True)
        program.set_env([{"name": variable, "valueFrom": {"secretKeyRef": source}}])
        resolved.origins.note(f"env.{variable}", "spec.auth")
    else:
        resolved.token_env = variable


def _cluster_env(name: str, namespace: str, settings: Settings) -> list[Env]:
    """What a pod has to know of its own addresses, for Host protection (design, "URLs")."""
    hosts = names.service_hosts(names.child_name("mcpserver", name), namespace)
    env: list[Env] = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "KAOS_SERVICE_HOSTS", "value": ",".join(hosts)},
    ]
    if settings.gateway and settings.gateway.hosts:
        env.append({"name": "KAOS_GATEWAY_HOSTS", "value": ",".join(settings.gateway.hosts)})
    return env
