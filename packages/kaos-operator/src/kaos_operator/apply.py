"""Apply: planned objects -> the cluster. Writes only what differs, and only where nothing of a stranger is in the way.

Nothing is read first: an apply carries either the uid that the cache knows or a resourceVersion that no object has, so
the API server itself refuses to touch an object that is not ours (F35). One exception reads: after such a refusal.
"""

from __future__ import annotations

import logging
import re

from kaos_core.errors import Problem
from kaos_core.plan import Plan, Token
from kaos_operator.api import Api, ApiError
from kaos_operator.cache import Cache, Child
from kaos_operator.drift import drifted
from kaos_operator.objects import APPLIED_HASH, ChildKey, Key, Object, child_key, owner, stamped, version

_log = logging.getLogger(__name__)

_QUOTED = re.compile(r'"[^"]*"')


class Refused(Exception):  # noqa: N818  # a verdict, not a bug
    """The API server will not have it as it is. Trying again at once is of no use."""

    def __init__(self, problem: Problem, retry_after: float = 0.0) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.retry_after = retry_after


async def apply_plan(api: Api, cache: Cache, key: Key, uid: str, plan: Plan) -> set[int]:
    """Make the children of one resource what the plan says; the versions of those that were written.

    Raises:
        Refused: NameConflict, AdmissionDenied, Forbidden or FieldConflict.
        ApiError: anything else; it is tried again.
    """
    written: set[int] = set()
    wanted = [stamped(obj) for obj in plan.objects]
    for obj in wanted:
        try:
            if obj["kind"] == "Deployment" and plan.token and _differs(cache, obj, uid):
                await _ensure_token(api, obj, plan.token)
            written |= await _ensure(api, cache, key, obj, uid)
        except ApiError as error:
            raise _verdict(error, obj) from error
    if plan.objects:
        await _prune(api, cache, key, uid, {child_key(obj) for obj in wanted})
    return written


async def _ensure(api: Api, cache: Cache, key: Key, obj: Object, uid: str) -> set[int]:
    """One object; its version when it was written."""
    child = cache.children.get(child_key(obj))
    if child is not None and not _ours(child, uid):
        raise Refused(_taken(key, child.key, child.owner))
    if child is None or _must_write(child, obj):
        answer = await _applied(api, key, obj, uid, child.uid if child else "")
        cache.see_child(answer)
        written = cache.children.get(child_key(obj))
        # A later version, of somebody else, may have been seen before the answer: that has to be compared first.
        if written is not None and written.version == version(answer):
            cache.settle(written)
        return {version(answer)}
    cache.settle(child)
    return set()


def _must_write(child: Child, obj: Object) -> bool:
    if child.applied != obj["metadata"]["annotations"][APPLIED_HASH]:
        return True
    if child.body is None:
        return False
    path = drifted(obj, child.body)
    if path:
        _log.info("undoing a change by others", extra={"object": str(child.key), "field": path})
    return bool(path)


def _differs(cache: Cache, obj: Object, uid: str) -> bool:
    child = cache.children.get(child_key(obj))
    return child is None or (_ours(child, uid) and child.applied != obj["metadata"]["annotations"][APPLIED_HASH])


def _ours(child: Child, uid: str) -> bool:
    return child.owner is not None and child.owner[1] == uid


async def _applied(api: Api, key: Key, obj: Object, uid: str, known: str) -> Object:
    try:
        return await api.apply(obj, uid=known)
    except ApiError as error:
        if error.status != 409:
            raise
    # Another object has the name, or ours was made or replaced without us having heard of it.
    live = await api.get(obj["apiVersion"], obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])
    if live is None:
        return await api.apply(obj)
    whose = owner(live)
    if whose is None or whose[1] != uid:
        raise Refused(_taken(key, child_key(obj), whose))
    if (live["metadata"].get("annotations") or {}).get(APPLIED_HASH) == obj["metadata"]["annotations"][
        APPLIED_HASH
    ] and not drifted(obj, live):
        return live
    return await api.apply(obj, uid=live["metadata"]["uid"])


async def _ensure_token(api: Api, deployment: Object, token: Token) -> None:
    """A Secret with a random token, once. It is only ever created: the operator may not read it (design)."""
    import secrets

    meta = deployment["metadata"]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**meta, "name": token.secret, "annotations": {}},
        "type": "Opaque",
        "stringData": {token.key: f"sk-{secrets.token_urlsafe(32)}"},
    }
    try:
        await api.create(secret)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


async def _prune(api: Api, cache: Cache, key: Key, uid: str, wanted: set[ChildKey]) -> None:
    """Delete what an earlier plan of this resource made and this one no longer has."""
    for child in cache.children_of(key):
        if child.key in wanted or not child.applied or not _ours(child, uid):
            continue
        metadata = {"name": child.key.name, "namespace": child.key.namespace}
        manifest = {"apiVersion": child.api_version, "kind": child.key.kind, "metadata": metadata}
        await api.delete(manifest, child.uid)
        cache.drop_child(child.key, child.uid)
        _log.info("no longer wanted", extra={"object": str(child.key)})


def _taken(key: Key, child: ChildKey, whose: tuple[Key, str] | None) -> Problem:
    """What is in the way: a stranger, or what is left of an earlier resource of this very name (F14)."""
    if whose is not None and whose[0] == key:
        message = f"waiting until {child} of the {key.kind} that had this name before has been deleted"
        return Problem("Progressing", message)
    holder = f"it belongs to {whose[0]}" if whose else "KAOS did not make it"
    return Problem(
        "NameConflict",
        f"{child} is there already, and {holder}",
        hint="rename this resource, or remove that object; nothing of it was changed",
    )


def _verdict(error: ApiError, obj: Object) -> Exception:
    """What an error means for the condition Programmed; transient errors stay what they are."""
    what = str(child_key(obj))
    if error.status == 403 and _is_rbac(error.message):
        hint = "give the operator's role that right, or take this namespace out of its scope"
        return Refused(Problem("Forbidden", f"{what}: {error.message}", hint=hint), error.retry_after)
    if error.status in (400, 403, 422) or error.reason == "NotServed":
        return Refused(Problem("AdmissionDenied", f"{what}: {error.message}"), error.retry_after)
    if error.status == 409 and error.causes:
        return Refused(Problem("FieldConflict", f"{what}: {error.message}"))
    return error


def _is_rbac(message: str) -> bool:
    """RBAC's own sentence; admission plugins and quotas also answer 403."""
    return "cannot " in message and "resource " in message and _QUOTED.search(message) is not None
