"""The only module that talks to the Kubernetes API server (beside kopf's watches). Requests and errors, no decisions.

aiohttp is what kopf itself brings. A client library on top would be imported by kopf as well, and costs: a prototype
that created 300 servers took 74 MiB and 0.9 s of CPU with the official one, 53 MiB and 0.6 s without.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from kaos_core.errors import KaosError
from kaos_core.manifests.names import FIELD_MANAGER
from kaos_operator.objects import Object

_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_ABSENT_VERSION = "1"
"""No object can have it: an apply with it succeeds only where there is nothing yet, and is a Conflict elsewhere."""


class ApiError(Exception):
    """What the API server, or the way to it, answered. `status` is 0 when there was no answer.

    Attributes:
        reason: the word of the Status object, such as `Conflict`.
        message: its sentence.
        retry_after: seconds to wait before the next request, as the server asks.
        causes: the fields it is about, as the server lists them.
    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float = 0.0, causes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{status or 'no answer'} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes


class NotLeaderError(Exception):
    """A write was about to happen without a valid Lease; nothing was sent."""


class Api:
    """One cluster. `connect` gives a session and the server's URL; it is called again when credentials expire."""

    def __init__(self, connect: Callable[[], tuple[aiohttp.ClientSession, str]], timeout: float) -> None:
        self._connect = connect
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self._not_before = 0.0
        self._plurals: dict[tuple[str, str], str] = {}
        self.may_write: Callable[[], bool] = lambda: True
        self.sent: Counter[str] = Counter()

    async def close(self) -> None:
        """End its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # Objects, by their manifests.

    async def apply(self, obj: Mapping[str, Any], *, uid: str = "") -> Object:
        """Server-side apply of a manifest: only where there is nothing yet, or over the object with this uid.

        Raises:
            ApiError: Conflict when another object has the name, or the one with this uid is gone.
        """
        meta = dict(obj["metadata"])
        meta |= {"uid": uid} if uid else {"resourceVersion": _ABSENT_VERSION}
        path = await self.path(obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, {**obj, "metadata": meta}, _APPLY, params)

    async def create(self, obj: Mapping[str, Any], *, fenced: bool = True) -> Object:
        """POST a manifest; `fenced`: only while leading. Raises ApiError AlreadyExists."""
        path = await self.path(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
        params = {"fieldManager": FIELD_MANAGER}
        return await self._request("POST", path, obj, "application/json", params, fenced=fenced)

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """PUT an object with its resourceVersion; for the Lease, where a lost race must be an error."""
        meta = obj["metadata"]
        path = await self.path(obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])
        return await self._request("PUT", path, obj, "application/json", {"fieldManager": FIELD_MANAGER}, fenced=False)

    async def set_status(self, document: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        """Replace the status of a resource that is still at this version.

        So neither a resource of the same name that came after it gets this status, nor one with a later status: a
        request that timed out may be carried out at any time. An apply or a merge patch with another uid would be
        accepted here, for a subresource takes its metadata from what is stored.

        Raises:
            ApiError: Conflict when it has another version by now.
        """
        meta = document["metadata"]
        path = await self.path(document["apiVersion"], document["kind"], meta["namespace"], meta["name"])
        steps = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            return await self._request("PATCH", f"{path}/status", steps, _JSON_PATCH, {"fieldManager": FIELD_MANAGER})
        except ApiError as error:
            if error.status == 422 and not error.causes:
                raise ApiError(409, "Conflict", f"{path} has another version by now") from error
            raise

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        """One object, or None when it is not there."""
        path = await self.path(api_version, kind, namespace, name)
        try:
            return await self._request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def objects(self, api_version: str, kind: str, namespace: str) -> list[Object]:
        """All objects of a kind in one namespace; for small collections."""
        path = await self.path(api_version, kind, namespace)
        found = _items(await self._request("GET", path), path)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found]

    async def delete(self, obj: Mapping[str, Any], uid: str) -> None:
        """Delete the object with this uid, and what hangs on it; nothing happens when it is gone."""
        meta = obj["metadata"]
        path = await self.path(obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", path, body, "application/json")
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def uids(self, path: str, selector: str = "") -> dict[tuple[str, str], str]:
        """`(namespace, name) -> uid` of everything in a collection, by a list of metadata only."""
        found: dict[tuple[str, str], str] = {}
        params = {"limit": "500", **({"labelSelector": selector} if selector else {})}
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        while True:
            answer = await self._request("GET", path, params=params, accept=accept)
            for item in _items(answer, path):
                meta = item["metadata"]
                found[meta.get("namespace", ""), meta["name"]] = meta["uid"]
            token = answer.get("metadata", {}).get("continue")
            if not token:
                return found
            params["continue"] = token

    # Where objects are.

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster has a kind; asked again each time until it has."""
        return bool(await self._plural(api_version, kind))

    async def path(self, api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
        """The URL path of a collection or an object. Raises ApiError NotServed when the cluster has no such kind."""
        plural = await self._plural(api_version, kind)
        if not plural:
            raise ApiError(404, "NotServed", f"the cluster has no {kind} ({api_version})")
        parts = [_root(api_version), *(("namespaces", namespace) if namespace else ()), plural]
        return "/".join([*parts, name] if name else parts)

    async def _plural(self, api_version: str, kind: str) -> str:
        known = self._plurals.get((api_version, kind))
        if known is None:
            try:
                answer = await self._request("GET", _root(api_version))
            except ApiError as error:
                if error.status != 404:
                    raise
                return ""
            for resource in answer.get("resources", []):
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = resource["name"]
            known = self._plurals.get((api_version, kind), "")
        return known

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | list[dict[str, Any]] | None = None,
        content_type: str = "",
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        fenced: bool = True,
    ) -> Object:
        """One request; once more with fresh credentials when they have expired (F20)."""
        if fenced and method != "GET" and not self.may_write():
            raise NotLeaderError
        headers = {"Accept": accept, **({"Content-Type": content_type} if content_type else {})}
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass") if body is not None else None
        for last in (False, True):
            await self._pause()
            session = await self._connected()
            self.sent[method] += 1
            try:
                async with session.request(
                    method, self._server + path, data=data, headers=headers, params=params, timeout=self._timeout
                ) as response:
                    if response.status == 401 and not last:
                        if self._session is session:
                            await self.close()
                        continue
                    return await self._answer(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                words = str(error) or type(error).__name__
                raise ApiError(0, type(error).__name__, f"{method} {path}: {words}") from error
        raise AssertionError("the second time returns or raises")

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                self._session, self._server = self._connect()
            except KaosError as error:
                raise ApiError(0, "NoCredentials", str(error)) from error
            self._server = self._server.rstrip("/")
        return self._session

    async def _pause(self) -> None:
        """Nobody sends anything before the time the server asked for (F6)."""
        loop = asyncio.get_running_loop()
        while (wait := self._not_before - loop.time()) > 0:
            await asyncio.sleep(wait)

    async def _answer(self, response: aiohttp.ClientResponse) -> Object:
        text = await response.read()
        try:
            value = json.loads(text) if response.content_type == "application/json" else None
        except ValueError:
            value = None
        if response.status < 300 and isinstance(value, dict):
            return value
        words = value if isinstance(value, dict) else {}
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        if response.status == 429 and retry_after:
            self._not_before = asyncio.get_running_loop().time() + retry_after
        details = words.get("details") or {}
        raise ApiError(
            response.status,
            words.get("reason") or response.reason or "Unreadable",
            words.get("message") or f"the API server answered {response.status} with {response.content_type}",
            retry_after,
            tuple(str(cause.get("field", "")) for cause in details.get("causes") or []),
        )


def _items(answer: Object, path: str) -> list[Object]:
    """The items of a list; an empty one may say null. What is no list is an error, never an empty one (F18, F19)."""
    items = answer.get("items", ())
    if not str(answer.get("kind", "")).endswith("List") or not isinstance(items, list | None):
        raise ApiError(200, "NotAList", f"{path}: the answer is no list")
    return items or []


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _seconds(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0
