"""Load: many clients at once on a control plane's API server. `bench/` measures operators with it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from controlplane.server import ControlPlane

CLIENTS = 32
WATCHES = 3
_LONGEST = 300
"""Seconds that a watch may take; then something is wrong."""


@asynccontextmanager
async def connected(plane: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    """The administrator's connections: one for each client, and for each watch beside them."""
    context = ssl.create_default_context(cafile=str(plane.authority))
    headers = {"Authorization": f"Bearer {plane.token()}"}
    connector = aiohttp.TCPConnector(limit=CLIENTS + WATCHES, ssl=context)
    async with aiohttp.ClientSession(plane.url, headers=headers, connector=connector) as session:
        yield session


def collection(namespace: str, version: str, plural: str) -> str:
    """The path of a kind in a namespace: `collection("default", "apps/v1", "deployments")`."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}"


class Servers:
    """The MCPServers `s0`, `s1`, … of one namespace, whose code has a revision; `runtime` runs Python code."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str, runtime: str = "rawpython") -> None:
        self.session = session
        self.namespace = namespace
        self.runtime = runtime
        self.path = collection(namespace, "kaos.tools/v1alpha1", "mcpservers")

    def document(self, number: int, revision: int) -> dict[str, Any]:
        """One of them."""
        code = f"def add(a: int, b: int) -> int:\n    return a + b + {revision}\n"
        return {
            "apiVersion": "kaos.tools/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": f"s{number}"},
            "spec": {"runtime": self.runtime, "params": code},
        }

    async def send(self, number: int, revision: int) -> None:
        """Create one, or with another revision than 0 edit it."""
        body = self.document(number, revision)
        if revision:
            await self.patch(f"{self.path}/s{number}", body, "merge-patch+json")
        else:
            async with self.session.post(self.path, json=body) as answer:
                assert answer.status == 201, await answer.text()  # noqa: S101  # a figure of refused requests is none

    async def send_all(self, count: int, revision: int) -> None:
        """The same with the first `count` of them, by `CLIENTS` clients at once."""
        turns = asyncio.Semaphore(CLIENTS)

        async def one(number: int) -> None:
            async with turns:
                await self.send(number, revision)

        await asyncio.gather(*(one(number) for number in range(count)))

    async def patch(self, path: str, body: Any, kind: str) -> None:
        """One PATCH; an apply is forced."""
        params = {"fieldManager": "kaos-operator", "force": "true"} if kind == "apply-patch+yaml" else {}
        headers = {"Content-Type": f"application/{kind}"}
        async with self.session.patch(path, data=json.dumps(body), params=params, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()  # noqa: S101

    async def items(self, path: str) -> list[dict[str, Any]]:
        """All objects of a collection."""
        async with self.session.get(path) as answer:
            found: list[dict[str, Any]] = (await answer.json())["items"]
        return found

    async def watch(self, path: str, count: int, done: Callable[[dict[str, Any]], bool]) -> asyncio.Task[None]:
        """A task that watches from now on until `count` objects were seen done. Lists would take the CPU measured."""
        async with self.session.get(path, params={"limit": "1"}) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]

        async def run() -> None:
            names: set[str] = set()
            params = {"watch": "1", "resourceVersion": version}
            timeout = aiohttp.ClientTimeout(total=_LONGEST)
            async with self.session.get(path, params=params, timeout=timeout) as answer:
                async for line in answer.content:
                    obj = json.loads(line)["object"]
                    if done(obj):
                        names.add(obj["metadata"]["name"])
                        if len(names) >= count:
                            return
            raise RuntimeError(f"{path}: the watch ended with {len(names)} of {count}")

        return asyncio.create_task(run())
