"""Info: what this operator loaded, in ConfigMap `kaos-operator-info`. Written on change."""

from __future__ import annotations

import json
import logging
from typing import Any

from kaos_core.manifests.names import FIELD_MANAGER
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_core.settings import KAOS_VERSION
from kaos_operator.api import Api
from kaos_operator.objects import APPLIED_HASH, Object, stamped

_log = logging.getLogger(__name__)

NAME = "kaos-operator-info"


def info(namespace: str, plugins: Plugins, registry: Registry) -> Object:
    """The ConfigMap: `version`, and as JSON `plugins`, `runtimes` and `problems`."""
    known = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "hooks": list(plugin.hooks),
            "runtimes": list(plugin.runtimes),
            **({"failure": plugin.failure} if plugin.failure else {}),
        }
        for plugin in plugins.infos()
    ]
    runtimes = [
        {
            "name": entry.runtime.name,
            "type": entry.runtime.type,
            "image": entry.runtime.image,
            "description": entry.runtime.description,
            "source": entry.runtime.source,
            "origin": entry.origin,
            "disabled": entry.runtime.disabled,
        }
        for entry in registry.entries()
    ]
    data = {
        "version": KAOS_VERSION,
        "plugins": _json(known),
        "runtimes": _json(runtimes),
        "problems": _json([problem.message for problem in registry.problems]),
    }
    labels = {"app.kubernetes.io/name": "kaos-operator", "app.kubernetes.io/part-of": "kaos"}
    meta = {"name": NAME, "namespace": namespace, "labels": {**labels, "app.kubernetes.io/managed-by": FIELD_MANAGER}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def publish(api: Api, wanted: Object) -> bool:
    """Have it in the cluster; whether that took a write. Raises ApiError."""
    wanted = stamped(wanted)
    meta = wanted["metadata"]
    there = await api.get("v1", "ConfigMap", meta["namespace"], meta["name"])
    found = ((there or {}).get("metadata", {}).get("annotations") or {}).get(APPLIED_HASH)
    if there is not None and found == meta["annotations"][APPLIED_HASH]:
        return False
    await api.apply(wanted, uid=there["metadata"]["uid"] if there else "")
    return True


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
