"""`kaos system runtimes`: what `spec.runtime` may say here, as the registry has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaos_cli.offer import failures
from kaos_cli.options import Output
from kaos_cli.output import emit, show, table, warn

if TYPE_CHECKING:
    from kaos_core.registry import Entry

_WIDTHS = (10, 7, 54)
"""The columns of the text that S4.75 prints."""


def runtimes(output: Output = "table") -> None:
    """List the MCP runtimes."""
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry

    plugins = Plugins.installed()
    registry = Registry.build(plugins)
    entries = registry.entries()
    for line in [*failures(plugins), *(str(problem) for problem in registry.problems)]:
        warn(line)
    if output in ("json", "yaml"):
        show([_data(entry) for entry in entries], output)
    elif output == "name":
        emit("\n".join(entry.runtime.name for entry in entries))
    else:
        wide = output == "wide"
        header = ["NAME", "TYPE", "DESCRIPTION", "SOURCE", *(["ORIGIN"] if wide else [])]
        emit(table(header, [[*_row(entry), *([entry.origin] if wide else [])] for entry in entries], _WIDTHS))


def _row(entry: Entry) -> list[str]:
    runtime = entry.runtime
    disabled = " (disabled)" if runtime.disabled else ""
    return [runtime.name, runtime.type or "-", runtime.description + disabled, runtime.source or "-"]


def _data(entry: Entry) -> dict[str, Any]:
    runtime = entry.runtime
    return {
        "name": runtime.name,
        "type": runtime.type,
        "description": runtime.description,
        "source": runtime.source,
        "origin": entry.origin,
        "image": runtime.image,
        "transport": runtime.transport,
        "requiredEnv": list(runtime.required_env),
        "aliases": list(runtime.aliases),
        "local": runtime.local is not None,
        "disabled": runtime.disabled,
        "docsUrl": runtime.docs_url,
    }
