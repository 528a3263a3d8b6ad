"""The five hooks of KAOS: when each is called, what it may return, who wins.

A plugin is told of every server and returns early when it is not its own
(`if runtime.name != "slack": return None`). Plugins are called in alphabetical order of their entry-point names,
`tryfirst` and `trylast` aside. A hook that raises, or takes longer than five seconds, costs only the servers of its own
runtimes; one that took longer is called no more until the program starts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from kaos_core.commands import Command
    from kaos_core.errors import Problem
    from kaos_core.manifests import Manifests
    from kaos_core.runtime import Runtime

GROUP = "kaos"
"""The entry-point group, and the name of the marker."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class RenderedParams:
    """What `spec.params` becomes: environment variables, arguments, files (absolute path -> text)."""

    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@hookspec
def kaos_runtimes() -> list[Runtime]:  # type: ignore[empty-body]
    """Offer runtimes.

    Called once, when the registry is built. Two plugins with one name: the first keeps it, the second is told so.

        @hookimpl
        def kaos_runtimes():
            return [Runtime(name="weather", type="python", image="registry.example/weather-mcp:v1.0.0")]
    """


@hookspec
def kaos_validate(server: Mapping[str, Any], runtime: Runtime) -> list[Problem] | None:
    """Say what is wrong with a server.

    Called in every plan, with the whole resource as YAML would have it. All results are gathered: an error stops the
    plan and turns a condition False, a warning is told and stops nothing.

        @hookimpl
        def kaos_validate(server, runtime):
            if runtime.name == "kubernetes" and "serviceAccountName" not in server["spec"]:
                return [Problem("ServiceAccountNotFound", "…", "spec.serviceAccountName", "warning")]
    """


@hookspec(firstresult=True)
def kaos_render_params(server: Mapping[str, Any], runtime: Runtime) -> RenderedParams | None:
    """Turn `spec.params` (a string) into environment variables, arguments and files.

    Called in every plan whose server has `params`. The first answer wins; with none, params go verbatim into the
    runtime's `params_env_var`. Raise `KaosError(reason="InvalidParams")` for params that cannot be used.

        @hookimpl
        def kaos_render_params(server, runtime):
            if runtime.name == "weather":
                return RenderedParams(env={"WEATHER_UNITS": server["spec"]["params"].strip()})
    """


@hookspec
def kaos_manifests(server: Mapping[str, Any], runtime: Runtime, manifests: Manifests) -> None:
    """Edit what will run, in place.

    Called in every plan after the manifests are built and before the user's own `spec.container` and `spec.podSpec`
    are laid over them. `manifests.program` counts on both targets; the objects only in the cluster.

        @hookimpl
        def kaos_manifests(server, runtime, manifests):
            manifests.deployment["metadata"].setdefault("annotations", {})["team"] = "weather"
    """


@hookspec
def kaos_commands() -> list[Command]:  # type: ignore[empty-body]
    """Offer subcommands of `kaos`.

    Called for `kaos --help`, completion and unknown names only. Names of built-in commands win, with a warning.

        @hookimpl
        def kaos_commands():
            return [Command("weather", "Ask for the weather.", "kaos_runtime_weather.cli:app")]
    """
