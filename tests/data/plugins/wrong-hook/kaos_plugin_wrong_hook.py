"""A plugin with a hook that does not exist: kaos_runtime for kaos_runtimes."""

from kaos_core.plugin import hookimpl


@hookimpl
def kaos_runtime():
    return []
