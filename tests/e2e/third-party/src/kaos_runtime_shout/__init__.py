"""The runtime `shout` of a third party: the server says things aloud, the more so where this plugin's hook is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaos_core.plugin import Runtime, hookimpl

if TYPE_CHECKING:
    from kaos_core.manifests import Manifests

NAME = "shout"


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """One entry."""
    return [
        Runtime(
            name=NAME,
            type="python",
            description="Says it aloud",
            image="ghcr.io/kaos-tools/e2e-rawpython-with-shout:0.1.0",
            command=("python", "-m", "kaos_runtime_shout.server"),
            args=("{port}",),
            params_env_var="SHOUT_NAME",
            read_only_root_filesystem=True,
        )
    ]


@hookimpl
def kaos_manifests(server: Mapping[str, Any], runtime: Runtime, manifests: Manifests) -> None:
    """What data alone cannot do: a variable made of the server's own name."""
    if runtime.name == NAME:
        manifests.program.set_env([{"name": "SHOUT_TAIL", "value": f"! ({server['metadata']['name']})"}])
