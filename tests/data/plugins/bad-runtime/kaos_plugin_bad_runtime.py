"""A plugin that loads, and then offers what is no runtime."""

from kaos_core.plugin import hookimpl


@hookimpl
def kaos_runtimes():
    return [{"name": "weather"}]
