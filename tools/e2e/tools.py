"""Tools: calls through a Service with `fastmcp.Client`, from this machine and by the API server's service proxy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from e2e.kubectl import PATIENCE, Kubectl

SERVICE_PORT = 8000


@contextmanager
def forwarded(kubectl: Kubectl, server: str) -> Iterator[str]:
    """URL of an MCPServer's endpoint, by `kubectl port-forward` to its Service. Raises KubectlError."""
    with kubectl.forward(f"service/mcpserver-{server}", SERVICE_PORT) as origin:
        yield f"{origin}/mcp"


def proxied(origin: str, namespace: str, server: str) -> tuple[str, dict[str, str]]:
    """URL of an MCPServer's endpoint by the service proxy of the API server at `origin`, and the headers it needs.

    The pod would see the API server's own name as Host, and refuse it (design, "URLs").
    """
    service = f"mcpserver-{server}"
    url = f"{origin}/api/v1/namespaces/{namespace}/services/{service}:{SERVICE_PORT}/proxy/mcp"
    return url, {"Host": f"{service}.{namespace}.svc"}


async def call(url: str, tool: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """The tool's answer. Raises what FastMCP raises."""
    from fastmcp import Client
    from fastmcp.client.transports import StreamableHttpTransport

    async with Client(StreamableHttpTransport(url, headers=headers or {})) as client:
        return (await client.call_tool(tool, arguments)).data


class Calls:
    """A tool without arguments, called over and over through the service proxy while something else happens.

    Attributes:
        answers: every different answer, in the order they came.
        failures: what went wrong, once for each call that did.
        count: of calls.
    """

    def __init__(self, kubectl: Kubectl, server: str, tool: str) -> None:
        self.answers: list[Any] = []
        self.failures: list[str] = []
        self.count = 0
        self._kubectl, self._server, self._tool = kubectl, server, tool
        self._stop = threading.Event()
        self._seen = threading.Condition()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name=f"calls of {self._server}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, answer: Any, seconds: float = PATIENCE) -> None:
        """Back when a call was answered so. Raises TimeoutError."""
        with self._seen:
            if not self._seen.wait_for(lambda: answer in self.answers, seconds):
                raise TimeoutError(f"no {answer!r} among {self.answers}; failures: {self.failures[:3]}")

    def _run(self) -> None:
        with self._kubectl.proxy() as origin:
            url, headers = proxied(origin, self._kubectl.namespace, self._server)
            while not self._stop.is_set():
                self._call(url, headers)

    def _call(self, url: str, headers: dict[str, str]) -> None:
        try:
            answer = asyncio.run(call(url, self._tool, {}, headers))
        except Exception as error:  # noqa: BLE001  # whatever a client may meet
            self.failures.append(f"{type(error).__name__}: {error}")
        else:
            with self._seen:
                if answer not in self.answers:
                    self.answers.append(answer)
                self._seen.notify_all()
        self.count += 1
