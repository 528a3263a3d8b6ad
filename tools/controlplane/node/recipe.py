"""How a pod's main container runs on this machine: `Plan.process` of its owner, with what the pod itself says over it.

The plan knows the local command that stands for image and entrypoint. Environment, files and probes are the pod's:
what the operator applied is what is tested. An image that the user set stands for no local command: it is one that
cannot be pulled, unless the test says what it is (`FakeNode.serve`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from controlplane.node.api import CONFIG_MAPS, Api, Collection, Object
from kaos_core.errors import ResourceError
from kaos_core.manifests import names
from kaos_core.plan import Plan, plan
from kaos_core.plugins import Plugins
from kaos_core.program import Process
from kaos_core.registry import Overlay, Registry

_LOOKS = 20
_BETWEEN = 0.1
"""Seconds between two looks at an owner whose plan is not what the Deployment says."""


class Recipes:
    """Of everything that this node runs."""

    def __init__(self, api: Api, served: Mapping[str, Sequence[str]]) -> None:
        self._api = api
        self._served = served
        self._plugins = Plugins.installed(os.environ)
        self._overlays: list[Overlay] = []
        self._registry = Registry.build(self._plugins)

    async def process(self, deployment: Object) -> Process | None:
        """What stands for the main container of a Deployment here; None when nothing does."""
        container = main_container(deployment)
        planned = await self._planned(deployment)
        for _ in range(_LOOKS):
            if planned is None or not _differs(planned, container):
                break
            # The owner is newer than the Deployment, or the registry is: the operator is about to bring it along.
            await asyncio.sleep(_BETWEEN)
            planned = await self._planned(deployment)
        base = planned.process if planned else None
        if planned is None or base is None or base.image or _users_image(planned):
            command = self._served.get(container["image"])
            if command is None:
                return None
            if base and base.image:
                argv = (*(base.entrypoint or command), *base.argv)
            else:
                argv = (*(container.get("command") or command), *(container.get("args") or ()))
            base = replace(base or Process(()), argv=argv, image="", preload=(), requires="")
        return _as_the_pod_says(base, container)

    async def _planned(self, deployment: Object) -> Plan | None:
        """The plan of the owner; None when it has none that could be planned."""
        owner = next(
            (one for one in deployment["metadata"].get("ownerReferences") or [] if one.get("controller")), None
        )
        kinds = self._plugins.kinds()
        if owner is None or owner["kind"] not in kinds:
            return None
        collection = Collection(names.API_VERSION, owner["kind"], kinds[owner["kind"]].plural)
        document = await self._api.get(collection, deployment["metadata"]["namespace"], owner["name"])
        if document is None:
            return None
        await self._refresh()
        try:
            # Nothing related: the operator has waited for that already.
            return plan(document, self._registry, self._plugins)
        except ResourceError:
            return None

    async def _refresh(self) -> None:
        """Read the overlays that the operator reads."""
        found = []
        for document in await self._api.list(CONFIG_MAPS, names.SYSTEM_NAMESPACE):
            meta = document["metadata"]
            chart = meta["name"] == names.REGISTRY_CONFIGMAP
            if chart or (meta.get("labels") or {}).get(names.REGISTRY_LABEL) == "true":
                found.append((not chart, meta["name"], (document.get("data") or {}).get(names.REGISTRY_KEY, "")))
        overlays = [Overlay(f"ConfigMap {names.SYSTEM_NAMESPACE}/{name}", text) for _, name, text in sorted(found)]
        if overlays != self._overlays:
            self._overlays = overlays
            self._registry = Registry.build(self._plugins, overlays, self._registry)


def main_container(deployment: Object) -> Object:
    """The one that kubectl takes when none is named, else the first."""
    template = deployment["spec"]["template"]
    containers: list[Object] = template["spec"]["containers"]
    name = (template["metadata"].get("annotations") or {}).get(names.DEFAULT_CONTAINER)
    return next((one for one in containers if one["name"] == name), containers[0])


def _differs(planned: Plan, container: Object) -> bool:
    for item in planned.objects:
        if item["kind"] == "Deployment":
            own = main_container(item)
            return any((own.get(name) or []) != (container.get(name) or []) for name in ("command", "args"))
    return False


def _users_image(planned: Plan) -> bool:
    """Whether podSpec set it, which the plan's process knows nothing of."""
    path = f"Deployment.spec.template.spec.containers[{planned.kind.container}].image"
    return planned.origins.get(path) == "spec.podSpec"


def _as_the_pod_says(base: Process, container: Object) -> Process:
    env = container.get("env") or []
    own = {entry["name"] for entry in env}
    return replace(
        base,
        # What only this machine adds stays: it stands for the image.
        env=(*(entry for entry in base.env if entry["name"] not in own and "valueFrom" not in entry), *env),
        env_from=tuple(container.get("envFrom") or ()),
        files={},
        health=_probed(container, "livenessProbe"),
        ready=_probed(container, "readinessProbe"),
    )


def _probed(container: Object, name: str) -> str | None:
    found: str | None = ((container.get(name) or {}).get("httpGet") or {}).get("path")
    return found
