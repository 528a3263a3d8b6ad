"""A plugin that works."""

from kaos_core.plugin import Runtime, hookimpl


@hookimpl
def kaos_runtimes():
    return [Runtime(name="good", type="go", image="registry.example/good:1.0", description="Works")]
