"""Runtime: what kind of server a resource is, as one registry entry. Plugins make them; ConfigMaps change them.

Plain frozen data on the standard library alone, so that a plugin's import costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

CUSTOM = "custom"
"""The one runtime whose image comes from the resource itself."""

BUILT_IN = "Built-in"
"""The source of what KAOS itself ships."""


def camel(name: str) -> str:
    """`params_env_var` -> `paramsEnvVar`: a Python field's name in YAML."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_ENTRY_FORM: dict[str, Any] = {"alias_generator": camel, "extra": "forbid", "populate_by_name": True}


@dataclass(frozen=True, kw_only=True)
class Local:
    """How a runtime runs as a process, without a container. `{python}` and `{port}` are filled in.

    `command` stands for the image and its entrypoint only; the runtime's and the user's `args` follow it.
    `preload` names modules for a fork parent: many servers whose command is `{python} -m MODULE …` then share the
    memory and the import time of these modules. `requires` is the program that must be on PATH, with what to do when
    it is not.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _ENTRY_FORM

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    requires: str = ""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One registry entry (field names in YAML are camelCase). The seed's fields are S4.28's.

    Attributes:
        name: what `spec.runtime` says.
        type: the language of the server; empty for `custom`.
        image: the container image; empty only for `custom` and `remote`.
        description: one line for `kaos system runtimes`.
        command: replaces the image's entrypoint; empty keeps it.
        args: arguments of the entrypoint; `{port}` is filled in.
        params_env_var: the environment variable that carries `spec.params`.
        params_file: large params may come as a file named by `<params_env_var>_FILE`.
        required_env: environment variables the user must give.
        transport: `http`, or `stdio` for servers that need the adapter.
        source: the upstream project, for people; `Built-in` for what KAOS itself ships.
        port: the port the server listens on in its container.
        path: the path of its MCP endpoint.
        health: HTTP path of the liveness probe; None probes TCP.
        ready: HTTP path of the readiness probe; None probes TCP.
        run_as_user: the uid the image needs; None takes the default.
        read_only_root_filesystem: whether the image runs with one.
        disabled: switched off by the platform team.
        params_schema: JSON schema of `spec.params` when it is a mapping.
        local: how it runs without a container; None if it cannot.
        aliases: other names that resolve to it.
        docs_url: where people read on.
        token_env: the environment variable of its bearer token.
        service_account_token: it talks to the Kubernetes API with its pod's ServiceAccount.
        binds_all: it cannot be told to listen on loopback only.
        remote: it already runs elsewhere; there is no workload.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _ENTRY_FORM

    name: str
    type: Literal["python", "nodejs", "go", ""]
    image: str = ""
    description: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    params_env_var: str = ""
    params_file: bool = False
    required_env: tuple[str, ...] = ()
    transport: Literal["http", "stdio"] = "http"
    source: str = ""
    port: int = 8000
    path: str = "/mcp"
    health: str | None = None
    ready: str | None = None
    run_as_user: int | None = None
    read_only_root_filesystem: bool = False
    disabled: bool = False
    params_schema: Mapping[str, Any] | None = None
    local: Local | None = None
    aliases: tuple[str, ...] = ()
    docs_url: str = ""
    token_env: str = ""
    service_account_token: bool = False
    binds_all: bool = False
    remote: bool = False
