"""HTTPS to the API server with the standard library: JSON in and out, the certificate verified, connections kept."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any

AGENT = "kaos-controlplane"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Client:
    """Requests of one user, from any thread. Errors of the connection are `OSError` or `http.client.HTTPException`."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, token: str) -> None:
        self._host = host
        self.port = port
        self._context = context
        self._token = token
        self._idle: list[http.client.HTTPSConnection] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and body: parsed when it is JSON, else the text. `token` asks as somebody else; empty as nobody."""
        bearer = self._token if token is None else token
        sent = {"Accept": "application/json", "User-Agent": AGENT, "Content-Type": content_type, **(headers or {})}
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        data = (
            body if isinstance(body, bytes | None) else (body if isinstance(body, str) else json.dumps(body)).encode()
        )
        connection, used = self._take()
        try:
            try:
                status, kind, text = _exchange(connection, method, path, data, sent)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                if not used:
                    raise
                # An idle connection that the server has closed meanwhile: nothing was asked yet.
                connection.close()
                connection, _ = self._take(new=True)
                status, kind, text = _exchange(connection, method, path, data, sent)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        if "json" in kind and text:
            return status, json.loads(text)
        return status, text.decode("utf-8", "replace")

    def _take(self, *, new: bool = False) -> tuple[http.client.HTTPSConnection, bool]:
        with self._lock:
            if self._idle and not new:
                return self._idle.pop(), True
        return http.client.HTTPSConnection(self._host, self.port, context=self._context, timeout=60), False

    def close(self) -> None:
        """Close what is kept open."""
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()


def _exchange(
    connection: http.client.HTTPSConnection, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
) -> tuple[int, str, bytes]:
    connection.request(method, path, data, dict(headers))
    response = connection.getresponse()
    return response.status, response.headers.get("content-type", ""), response.read()
