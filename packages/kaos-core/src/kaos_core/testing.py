"""For authors of plugins: `check_plugin` proves that a plugin keeps the contract. Needs no test framework."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from kaos_core.errors import PluginError
from kaos_core.hookspecs import hookimpl
from kaos_core.manifests import names
from kaos_core.plan import Plan, plan
from kaos_core.plugins import HOOK_LIMIT, Plugins
from kaos_core.registry import Registry
from kaos_core.runtime import Local, Runtime

FOREIGN = "foreign"


class ForeignRuntime:
    """A plugin whose runtime is nobody's business but its own: hooks of others must leave its servers alone."""

    @hookimpl
    def kaos_runtimes(self) -> list[Runtime]:
        """One plain HTTP runtime."""
        local = Local(command=("{python}", "-m", "foreign", "{port}"))
        return [
            Runtime(
                name=FOREIGN, type="python", image="registry.example/foreign:1", params_env_var="FOREIGN", local=local
            )
        ]


def server(runtime: str, **spec: Any) -> dict[str, Any]:
    """A small MCPServer document of a runtime; keywords are fields of its spec."""
    metadata = {"name": "check", "namespace": "default"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "MCPServer",
        "metadata": metadata,
        "spec": {"runtime": runtime, **spec},
    }


def builtin_plugins(hook_limit: float = HOOK_LIMIT) -> Plugins:
    """A manager with the kinds, `custom` and the foreign runtime, and nothing that happens to be installed."""
    from kaos_core import custom
    from kaos_core.kinds import agent, mcpserver, modelapi

    plugins = Plugins(hook_limit)
    for name, module in {"agent": agent, "custom": custom, "mcpserver": mcpserver, "modelapi": modelapi}.items():
        plugins.register(module, name)
    plugins.register(ForeignRuntime(), FOREIGN)
    return plugins


def check_plugin(
    plugin: ModuleType | object,
    *,
    specs: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Plan]:
    """Check a plugin against the contract, and give a plan per runtime for further asserts.

    It registers; every runtime is a valid entry with an image of a fixed tag and a description; a server of each plans
    without an error, twice with the same result; the hooks leave servers of other runtimes as they are; its commands
    can be imported.

    Args:
        plugin: the module that the entry point names.
        specs: runtime name -> spec fields its sample server needs beside `runtime` (params, for example). Required
            environment variables are filled in.

    Raises:
        PluginError: the first thing that is wrong, with what to do about it.
    """
    label = getattr(plugin, "__name__", type(plugin).__name__)
    plugins = builtin_plugins()
    alone = Registry.build(plugins)
    before = _served(plan(server(FOREIGN, params="x"), alone, plugins))
    plugins.register(plugin, label)
    registry = Registry.build(plugins)
    for failure in plugins.failures:
        raise PluginError(failure.error, plugin=label)
    for problem in registry.problems:
        raise PluginError(problem.message, plugin=label)
    after = _served(plan(server(FOREIGN, params="x"), registry, plugins))
    if before != after:
        raise PluginError(
            "its hooks changed a server of another runtime; begin each with `if runtime.name != …: return None`",
            plugin=label,
        )
    runtimes = [entry.runtime for entry in registry.entries() if entry.plugin == label]
    plans = [_checked(runtime, (specs or {}).get(runtime.name, {}), registry, plugins, label) for runtime in runtimes]
    for command, provider in plugins.commands():
        if provider == label:
            try:
                command.load()
            except (ImportError, AttributeError) as error:
                raise PluginError(
                    f"the command {command.name} names {command.target}: {error}", plugin=label
                ) from error
    return plans


def compare_golden(planned: Plan, path: Path, *, update: bool = False) -> None:
    """Compare all objects of a plan, as one YAML text, with the file at `path`; `update` writes it anew first.

    Raises:
        AssertionError: they differ (the message is a diff), or the plan has errors.
    """
    import yaml

    if planned.errors:
        raise AssertionError("; ".join(str(problem) for problem in planned.errors))
    text = yaml.safe_dump_all(planned.objects, sort_keys=False, width=120, allow_unicode=True)
    if update:
        path.write_text(text, encoding="utf-8")
    golden = path.read_text(encoding="utf-8")
    if golden != text:
        lines = difflib.unified_diff(golden.splitlines(), text.splitlines(), path.name, "the plan", lineterm="")
        raise AssertionError("\n".join(lines))


def _checked(runtime: Runtime, fields: Mapping[str, Any], registry: Registry, plugins: Plugins, label: str) -> Plan:
    if not runtime.description:
        raise PluginError(
            f"runtime {runtime.name} has no description; `kaos system runtimes` would show an empty line", plugin=label
        )
    tag = runtime.image.rpartition("/")[2].partition(":")[2]
    if not runtime.remote and (not tag or tag == "latest"):
        raise PluginError(f"runtime {runtime.name}: pin the tag of the image {runtime.image}", plugin=label)
    spec = copy.deepcopy(dict(fields))
    given = spec.setdefault("container", {}).setdefault("env", [])
    given += [{"name": name, "value": "x"} for name in runtime.required_env if all(v["name"] != name for v in given)]
    document = server(runtime.name, **spec)
    first, second = (plan(copy.deepcopy(document), registry, plugins) for _ in range(2))
    unsupported = runtime.transport == "stdio"
    errors = [problem for problem in first.errors if not (unsupported and problem.reason == "UnsupportedTransport")]
    if errors:
        raise PluginError(f"a server of runtime {runtime.name} does not plan: {errors[0]}", plugin=label)
    if _served(first) != _served(second):
        raise PluginError(f"runtime {runtime.name}: two plans of one server differ; hooks must be pure", plugin=label)
    missing = [name for name in runtime.required_env if name not in str(first.objects)] if first.objects else []
    if missing:
        raise PluginError(f"runtime {runtime.name}: a hook dropped {', '.join(missing)}", plugin=label)
    return first


def _served(planned: Plan) -> tuple[Any, ...]:
    return planned.objects, asdict(planned.process) if planned.process else None, planned.problems
