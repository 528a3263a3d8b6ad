"""The runtime `custom`: an image of the user's own. A plugin like every other."""

from __future__ import annotations

from kaos_core.hookspecs import hookimpl
from kaos_core.runtime import CUSTOM, Runtime


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    """The one runtime whose image comes from `spec.container.image`."""
    return [Runtime(name=CUSTOM, type="", description="User-provided container image", source="-")]
