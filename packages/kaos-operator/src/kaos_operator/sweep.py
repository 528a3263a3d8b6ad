"""Sweep: what went away while nobody was watching. A list of metadata against the cache, after each repeated list."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from kaos_core.kinds import Kind
from kaos_core.manifests.names import API_VERSION
from kaos_operator.api import Api, ApiError
from kaos_operator.cache import Cache
from kaos_operator.objects import Key

_log = logging.getLogger(__name__)


async def sweep(
    api: Api, cache: Cache, path: str, selector: str, kinds: Mapping[str, Kind], concerned: Callable[[Key], None]
) -> None:
    """Forget what a collection no longer holds. A list that fails is no empty list: then nothing is forgotten (F18)."""
    parts = path.strip("/").split("/")
    plural = parts[-1]
    namespace = parts[-2] if len(parts) > 2 and parts[-3] == "namespaces" else ""
    of_ours = next((kind.name for kind in kinds.values() if kind.plural == plural), "")
    # What is known before the list begins: what comes later is told by the watch.
    uids = {key: document["metadata"]["uid"] for key, document in cache.resources.items()}
    resources = [key for key in uids if key.kind == of_ours and namespace in ("", key.namespace)]
    children = [
        child
        for child in cache.children.values()
        if f"{child.key.kind.lower()}s" == plural and namespace in ("", child.key.namespace)
    ]
    pods = [pod for pod in cache.pods() if plural == "pods" and namespace in ("", pod[0])]
    if not resources and not children and not pods:
        return
    try:
        there = await api.uids(path, "" if of_ours else selector)
        gone = [child for child in children if there.get((child.key.namespace, child.key.name)) != child.uid]
        owners = {child.owner[0] for child in gone if child.owner} & set(uids)
        # Whoever went with all it had must not get it back only because the news of itself comes later.
        for kind, where in {(key.kind, key.namespace) for key in owners}:
            found = await api.uids(await api.path(API_VERSION, kind, where))
            here = {key: uids[key] for key in owners if (key.kind, key.namespace) == (kind, where)}
            _forget(cache, here, found, concerned)
    except ApiError as error:
        _log.warning("what went away could not be looked up", extra={"path": path, "error": str(error)})
        return
    _forget(cache, {key: uids[key] for key in resources}, there, concerned)
    for pod_namespace, label, pod in pods:
        if there.get((pod_namespace, pod.name)) != pod.uid and (key := cache.lose_pod_of(label, pod.name)):
            concerned(key)
    for child in gone:
        owner = cache.lose_child(child.key, child.uid)
        if owner:
            concerned(owner)


def _forget(
    cache: Cache, known: Mapping[Key, str], there: Mapping[tuple[str, str], str], concerned: Callable[[Key], None]
) -> None:
    for key, uid in known.items():
        if there.get((key.namespace, key.name)) != uid:
            for other in cache.lose_resource(key, uid):
                concerned(other)
