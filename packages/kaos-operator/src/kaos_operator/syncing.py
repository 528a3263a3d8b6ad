"""Syncing: is the cache complete? Nothing is planned before, or a restart would write what is long there.

kopf does not say when its first lists are through. So the collections are listed here too, metadata only, and compared
with what the watches have brought; what went away meanwhile is missing from the next such list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence, Set

from kaos_operator.api import Api, ApiError
from kaos_operator.watching import Collection

_log = logging.getLogger(__name__)

Seen = tuple[str, str, str]
"""Kind, namespace, name."""


async def complete(api: Api, collections: Sequence[Collection], namespaces: Sequence[str], seen: Set[Seen]) -> None:
    """Return as soon as everything that is in the collections has been seen."""
    pause = 0.05
    while True:
        try:
            if not await _missing(api, collections, namespaces, seen):
                return
        except ApiError as error:
            _log.warning("what is there could not be listed", extra={"error": str(error)})
            pause = max(pause, 1.0)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


async def _missing(
    api: Api, collections: Sequence[Collection], namespaces: Sequence[str], seen: Set[Seen]
) -> set[Seen]:
    missing: set[Seen] = set()
    for collection in collections:
        for namespace in namespaces if namespaces and collection.kind != "Namespace" else ("",):
            path = await api.path(collection.api_version, collection.kind, namespace)
            there = await api.uids(path, collection.selector)
            missing |= {(collection.kind, *names) for names in there} - seen
            if missing:
                return missing
    return missing
