"""Check: can an operator work here? `python -m kaos_operator check` prints a line for each thing it needs."""

from __future__ import annotations

import sys

from kaos_core.manifests.names import API_VERSION
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_operator.api import Api, ApiError
from kaos_operator.connection import connect
from kaos_operator.environment import Environment


async def check(environment: Environment) -> int:
    """Look at the plugins, the API server and the CRDs; the exit code."""
    plugins = Plugins.installed()
    registry = Registry.build(plugins)
    good = _line(not plugins.failures, f"{len(plugins.names())} plugins, {len(registry.by_name)} runtimes")
    for failure in plugins.failures:
        _line(False, f"plugin {failure.name} ({failure.distribution} {failure.version}): {failure.error}")
    api = Api(lambda: connect(environment.requests), environment.request_timeout)
    try:
        for kind in plugins.kinds():
            good &= await _kind(api, kind, environment)
    except ApiError as error:
        good = _line(False, f"API server: {error}")
    finally:
        await api.close()
    return 0 if good else 1


async def _kind(api: Api, kind: str, environment: Environment) -> bool:
    if not await api.serves(API_VERSION, kind):
        return _line(False, f"CRD of {kind}: not there; apply charts/kaos-crds first")
    for namespace in environment.watch_namespaces or ("",):
        path = await api.path(API_VERSION, kind, namespace)
        try:
            found = await api.uids(path)
        except ApiError as error:
            return _line(False, f"{kind}: {error.message}")
        _line(True, f"{len(found)} {kind}{'' if len(found) == 1 else 's'}{f' in {namespace}' if namespace else ''}")
    return True


def _line(good: bool, text: str) -> bool:
    sys.stdout.write(f"{'ok  ' if good else 'FAIL'} {text}\n")
    return good
