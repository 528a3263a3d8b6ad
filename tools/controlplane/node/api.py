"""The node's way to the API server: requests and watches for its event loop, as the administrator.

The one module of the node that talks to it. A watch never ends: it lists anew when it is cut off or too old.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from controlplane.client import MERGE

AGENT = "kaos-fake-node"
Object = dict[str, Any]
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAUSE = 0.2
"""Seconds before a broken watch is tried again."""


class ApiError(Exception):
    """It refused; `status` is the code, and the message its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Collection:
    """A kind of object by its place in the API: `Collection("apps/v1", "Deployment", "deployments")`."""

    version: str
    kind: str
    plural: str

    def path(self, namespace: str = "", name: str = "") -> str:
        """Of all, of a namespace's, or of one."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")


DEPLOYMENTS = Collection("apps/v1", "Deployment", "deployments")
REPLICA_SETS = Collection("apps/v1", "ReplicaSet", "replicasets")
PODS = Collection("v1", "Pod", "pods")
CONFIG_MAPS = Collection("v1", "ConfigMap", "configmaps")
SECRETS = Collection("v1", "Secret", "secrets")
SERVICE_ACCOUNTS = Collection("v1", "ServiceAccount", "serviceaccounts")
NAMESPACES = Collection("v1", "Namespace", "namespaces")


class Api:
    """Requests and watches. What the connection raises is `httpx2.HTTPError`."""

    def __init__(self, url: str, context: ssl.SSLContext, token: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=url,
            verify=context,
            headers={"Authorization": f"Bearer {token}", "User-Agent": AGENT},
            timeout=30,
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, collection: Collection, namespace: str, name: str) -> Object | None:
        """One object; None when there is none. Raises ApiError."""
        try:
            return await self._ask("GET", collection.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, collection: Collection, namespace: str = "", labels: str = "") -> list[Object]:
        """All that match. Raises ApiError."""
        found = await self._ask("GET", collection.path(namespace), params={"labelSelector": labels} if labels else {})
        items: list[Object] = found["items"]
        return items

    async def create(self, collection: Collection, namespace: str, body: Object) -> Object:
        """The object as the API server made it. Raises ApiError."""
        document = {"apiVersion": collection.version, "kind": collection.kind, **body}
        return await self._ask("POST", collection.path(namespace), document)

    async def merge(self, collection: Collection, namespace: str, name: str, body: Object, part: str = "") -> Object:
        """Merge into an object, or into its `status`. Raises ApiError."""
        path = collection.path(namespace, name) + (f"/{part}" if part else "")
        return await self._ask("PATCH", path, body, content_type=MERGE)

    async def delete(self, collection: Collection, namespace: str, name: str, uid: str = "", **options: Any) -> None:
        """Delete one, if it is still that one; gone is gone. Raises ApiError."""
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._ask("DELETE", collection.path(namespace, name), options)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def _ask(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        content = None if body is None else json.dumps(body).encode()
        answer = await self._client.request(
            method, path, content=content, params=params, headers={"Content-Type": content_type}
        )
        try:
            told = answer.json()
        except ValueError:
            raise ApiError(answer.status_code, answer.text[:300]) from None
        if answer.status_code >= 300:
            raise ApiError(answer.status_code, str(told.get("message", told)))
        found: Object = told
        return found

    async def watch(
        self, collection: Collection, namespace: str = "", labels: str = "", *, whole: bool = True
    ) -> AsyncIterator[tuple[str, Object]]:
        """Without end: `("LISTED", {"items": […]})` first and after every break, then ADDED, MODIFIED, DELETED.

        Without `whole` only the metadata of each.
        """
        path = collection.path(namespace)
        selector = {"labelSelector": labels} if labels else {}
        while True:
            try:
                accept = {} if whole else {"Accept": _METADATA_LIST}
                answer = await self._client.get(path, params=selector, headers=accept)
                if answer.status_code != 200:
                    raise ApiError(answer.status_code, answer.text[:300])
                listed = answer.json()
                # A list of metadata has null where it has nothing.
                yield "LISTED", {**listed, "items": listed["items"] or []}
                async for event in self._events(path, selector, listed["metadata"]["resourceVersion"], whole):
                    yield event
            except (httpx2.HTTPError, ApiError, ValueError):
                # Down, or about to be up again: the next list says what was missed.
                pass
            await asyncio.sleep(_PAUSE)

    async def _events(
        self, path: str, selector: Mapping[str, str], version: str, whole: bool
    ) -> AsyncIterator[tuple[str, Object]]:
        accept = {} if whole else {"Accept": _METADATA}
        params = {**selector, "watch": "1", "resourceVersion": version}
        async with self._client.stream("GET", path, params=params, headers=accept, timeout=None) as answer:
            if answer.status_code != 200:
                return
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
