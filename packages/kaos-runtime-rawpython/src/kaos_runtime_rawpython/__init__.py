"""The runtime `rawpython`: Python functions in `spec.params` become tools. `server.py` is what runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaos_core.plugin import Local, Problem, RenderedParams, Runtime, hookimpl
from kaos_core.settings import image

NAME = "rawpython"
PARAMS = "MCP_TOOLS_STRING"
SERVER = "kaos_runtime_rawpython.server"


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """One entry. No command: the image's own counts (C3)."""
    return [
        Runtime(
            name=NAME,
            aliases=("python-string",),
            type="python",
            image=image("kaos-mcp-rawpython"),
            description="Execute Python code strings as MCP tools",
            params_env_var=PARAMS,
            params_file=True,
            source="Built-in",
            health="/health",
            ready="/ready",
            read_only_root_filesystem=True,
            local=Local(
                command=("{python}", "-m", SERVER, "--host", "127.0.0.1", "--port", "{port}"), preload=(SERVER,)
            ),
        )
    ]


@hookimpl
def kaos_validate(server: Mapping[str, Any], runtime: Runtime) -> list[Problem] | None:
    """Code has to come from somewhere, and code that does not compile here will hardly compile there."""
    if runtime.name != NAME:
        return None
    spec = server["spec"]
    if "params" in spec:
        return _code_problems(spec["params"])
    container = spec.get("container", {})
    elsewhere = "paramsFrom" in spec or container.get("envFrom") or container.get("image") or container.get("command")
    if elsewhere or any(variable["name"] == PARAMS for variable in container.get("env", [])):
        return None
    hint = f"give the code in spec.params, in spec.paramsFrom, or as {PARAMS} in spec.container.env"
    return [Problem("InvalidParams", "there is no code", "spec.params", hint=hint)]


@hookimpl
def kaos_render_params(server: Mapping[str, Any], runtime: Runtime) -> RenderedParams | None:
    """Only the code goes to the server (C1); what does not compile goes as it is, and the server says where."""
    if runtime.name != NAME:
        return None
    from kaos_runtime_rawpython.source import SourceError, tools_source

    params = server["spec"]["params"]
    try:
        code = tools_source(params)
    except SourceError:
        code = params
    return RenderedParams(env={PARAMS: code})


def _code_problems(params: str) -> list[Problem]:
    from kaos_runtime_rawpython.source import SourceError, tools_source

    try:
        tools_source(params)
    except SourceError as error:
        if error.reason == "InvalidParams":
            return [Problem(error.reason, error.message, "spec.params")]
        hint = "the server will refuse this code"
        return [Problem(error.reason, error.message, "spec.params", "warning", hint, line=error.line)]
    return []
