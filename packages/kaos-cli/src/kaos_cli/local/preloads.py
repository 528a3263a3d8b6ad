"""Documents -> the fork parents that their servers will want, before anything is checked: a guess to save time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kaos_cli.target import Source

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins


def preloads(plugins: Plugins, sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """The `preload` of every runtime that is named. What is wrong with a document or plugin is told elsewhere."""
    named = {_runtime(source.document) for source in sources}
    found: dict[tuple[str, ...], None] = {}
    for implementation in plugins.implementations("kaos_runtimes"):
        try:
            found |= {
                tuple(runtime.local.preload): None
                for runtime in implementation.call()
                if runtime.local and runtime.local.preload and named & {runtime.name, *runtime.aliases}
            }
        except Exception:  # noqa: BLE001, S112  # the registry calls the plugin again and tells the user
            continue
    return list(found)


def _runtime(document: dict[str, Any]) -> object:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return None
    container = spec.get("container")
    if isinstance(container, dict) and (container.get("command") or container.get("image")):
        return None
    name = spec.get("runtime")
    return name if isinstance(name, str) else None
