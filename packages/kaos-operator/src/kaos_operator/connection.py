"""How the operator reaches the API server: kopf's own logins, made into sessions. Nothing else knows credentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp

from kaos_core.errors import KaosError
from kaos_core.settings import KAOS_VERSION

USER_AGENT = f"kaos-operator/{KAOS_VERSION}"


def credentials(**kwargs: Any) -> Any:
    """What kopf finds: the pod's ServiceAccount, else the kubeconfig.

    Returns:
        A `kopf.ConnectionInfo`.

    Raises:
        KaosError: there is neither, or the kubeconfig cannot be used.
    """
    import kopf

    try:
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
    except (OSError, KeyError, TypeError, ValueError, kopf.LoginError) as error:
        raise KaosError(
            f"the kubeconfig cannot be used: {type(error).__name__}: {error}", hint="see `kubectl config view`"
        ) from error
    if found is None:
        raise KaosError(
            "no cluster: neither a ServiceAccount's token nor a kubeconfig was found",
            hint="set KUBECONFIG, or run it in a pod",
        )
    return found


def session(found: Any, *, limit: int, traces: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """A session with these credentials; `limit` connections at most (0: any number)."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, ssl=found.as_ssl_context(), keepalive_timeout=60),
        headers={**found.as_http_headers(), "User-Agent": USER_AGENT},
        trust_env=False,
        proxy=found.proxy_url,
        trace_configs=list(traces),
    )


def connect(limit: int) -> tuple[aiohttp.ClientSession, str]:
    """A session of our own, and the server's URL. Raises KaosError as `credentials` does."""
    import kopf

    found = credentials(settings=kopf.OperatorSettings())
    return session(found, limit=limit), found.server
