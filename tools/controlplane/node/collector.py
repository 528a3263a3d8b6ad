"""Garbage collection as a cluster's controller does it: what is owned goes when its last owner is gone.

One watch of the metadata of each kind. An owner that was never seen is asked for before anything is deleted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx2

from controlplane.node.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Api,
    ApiError,
    Collection,
    Object,
)
from controlplane.node.container import RETRY
from kaos_core.manifests import names

COLLECTED = (
    *(
        Collection(names.API_VERSION, kind, plural)
        for kind, plural in (("Agent", "agents"), ("MCPServer", "mcpservers"))
    ),
    Collection(names.API_VERSION, "ModelAPI", "modelapis"),
    DEPLOYMENTS,
    REPLICA_SETS,
    PODS,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Collection("v1", "Service", "services"),
    Collection("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
    Collection("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
)
"""Owners and owned alike."""
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True)
class Item:
    """An object as far as this is concerned."""

    collection: Collection
    namespace: str
    name: str
    uid: str
    owners: tuple[tuple[str, str, str, str], ...]
    """Version, kind, name and uid of each."""
    waits: bool = False
    """It is deleted in the foreground: as soon as nothing is left that it owns."""


class Collector:
    """Of a namespace, or with an empty one of all."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._items: dict[str, Item] = {}
        self._suspects: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for collection in COLLECTED:
                tasks.create_task(self._watch(collection))
            tasks.create_task(self._collect())

    async def _watch(self, collection: Collection) -> None:
        async for event, document in self._api.watch(collection, self._namespace, whole=False):
            if event == "LISTED":
                listed = [_item(collection, one) for one in document["items"]]
                uids = {one.uid for one in listed}
                for old in [one for one in self._items.values() if one.collection == collection]:
                    if old.uid not in uids:
                        self._lost(old)
                for item in listed:
                    self._seen(item)
            elif event == "DELETED":
                self._lost(_item(collection, document))
            else:
                self._seen(_item(collection, document))

    def _seen(self, item: Item) -> None:
        self._items[item.uid] = item
        if item.owners or item.waits:
            self._suspects.put_nowait(item.uid)

    def _lost(self, item: Item) -> None:
        self._items.pop(item.uid, None)
        owners = {owner[3] for owner in item.owners}
        for other in self._items.values():
            owned = any(owner[3] == item.uid for owner in other.owners)
            if owned or (other.waits and other.uid in owners):
                self._suspects.put_nowait(other.uid)

    async def _collect(self) -> None:
        while True:
            item = self._items.get(await self._suspects.get())
            if item is None:
                continue
            try:
                await self._look(item)
            except (httpx2.HTTPError, ApiError):
                await asyncio.sleep(RETRY)
                self._suspects.put_nowait(item.uid)

    async def _look(self, item: Item) -> None:
        if item.waits:
            await self._finish(item)
        if item.owners and not [owner for owner in item.owners if await self._lives(item, owner)]:
            await self._api.delete(item.collection, item.namespace, item.name, item.uid, propagationPolicy="Background")

    async def _finish(self, item: Item) -> None:
        """Delete what it owns; when there is nothing any more, let it go."""
        owned = [other for other in self._items.values() if any(owner[3] == item.uid for owner in other.owners)]
        for other in owned:
            await self._api.delete(other.collection, other.namespace, other.name, other.uid)
        if not owned:
            found = await self._api.get(item.collection, item.namespace, item.name)
            if found and found["metadata"]["uid"] == item.uid:
                left = [one for one in found["metadata"].get("finalizers") or [] if one != FOREGROUND]
                await self._api.merge(item.collection, item.namespace, item.name, {"metadata": {"finalizers": left}})

    async def _lives(self, item: Item, owner: tuple[str, str, str, str]) -> bool:
        version, kind, name, uid = owner
        if uid in self._items:
            return True
        collection = next((one for one in COLLECTED if (one.version, one.kind) == (version, kind)), None)
        if collection is None:
            return True  # of a kind that is not watched: who knows
        found = await self._api.get(collection, item.namespace, name)
        return found is not None and found["metadata"]["uid"] == uid


def _item(collection: Collection, document: Object) -> Item:
    meta = document["metadata"]
    owners = tuple(
        (one["apiVersion"], one["kind"], one["name"], one["uid"]) for one in meta.get("ownerReferences") or []
    )
    waits = "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or [])
    return Item(collection, meta["namespace"], meta["name"], meta["uid"], owners, waits)
