"""The runtime `echo`: a server that says what it hears. The smallest plugin that does something."""

from kaos_core.plugin import Local, Runtime, hookimpl


@hookimpl
def kaos_runtimes() -> list[Runtime]:
    return [
        Runtime(
            name="echo",
            type="python",
            description="Says what it hears",
            image="registry.example/kaos-runtime-echo:0.1.0",
            params_env_var="ECHO_PREFIX",
            local=Local(command=("{python}", "-m", "kaos_runtime_echo.server", "{port}")),
        )
    ]
