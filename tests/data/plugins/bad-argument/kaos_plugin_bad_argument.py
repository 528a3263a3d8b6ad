"""A plugin with an argument that its hook does not offer."""

from kaos_core.plugin import hookimpl


@hookimpl
def kaos_validate(server, cluster):
    return None
