"""Everything the author of a plugin imports. Light: it loads neither pydantic nor any client.

A whole plugin is one function:

    from kaos_core.plugin import Runtime, hookimpl

    @hookimpl
    def kaos_runtimes():
        return [Runtime(name="weather", type="python", image="registry.example/weather-mcp:v1.0.0")]

and one entry point in the group `kaos` that names its module. `kaos_core.testing.check_plugin` proves it.
"""

from kaos_core.commands import Command
from kaos_core.errors import Problem
from kaos_core.hookspecs import RenderedParams, hookimpl
from kaos_core.manifests import Manifests
from kaos_core.program import Program
from kaos_core.runtime import Local, Runtime

__all__ = ["Command", "Local", "Manifests", "Problem", "Program", "RenderedParams", "Runtime", "hookimpl"]
