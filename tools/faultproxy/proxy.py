"""The proxy itself: connections in, rules in force, what happened. Requests on their way are `faultproxy.exchange`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from faultproxy import kubeconfig
from faultproxy.actions import HalfOpen, Outage
from faultproxy.exchange import DroppedError, Exchange, Link
from faultproxy.recording import Recording, Request, peak
from faultproxy.rules import Handle, Match, Rule
from faultproxy.wire import CutError, Stream, read_head

T = TypeVar("T")
_ANY = Match()


class FaultProxy:
    """Stands between one client and a TLS server: `async with FaultProxy(url, ca) as proxy`.

    Everything that is no coroutine may be called from any thread, and takes effect before it returns. What waits
    (`wait`, `wait_quiet`, `Handle.wait`) blocks: in a coroutine use `asyncio.to_thread`.

    Attributes:
        upstream_url: may be changed while it runs; the next connection goes there.
        url: of the proxy, https on 127.0.0.1.
        ca: the certificate (PEM) of the throw-away authority that signed the proxy's.
    """

    def __init__(self, upstream_url: str, ca: str | None) -> None:
        self.upstream_url = upstream_url
        # Here, for every package's tests load this module, and only those that use it have a library for certificates.
        from faultproxy.tls import Authority, client_context

        self._trust = client_context(ca)
        authority = Authority()
        self.ca = authority.ca
        self._context = authority.server_context()
        self._recording = Recording()
        self._rules: tuple[Handle, ...] = ()
        self._live: set[Exchange] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []
        self._listener: socket.socket | None = None
        self._kubeconfig: Path | None = None

    async def __aenter__(self) -> FaultProxy:
        self._loop = asyncio.get_running_loop()
        # Bound and never listening: it keeps the port ours while nobody listens on it.
        self._anchor = _bound(0)
        self.port: int = self._anchor.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._listen()
        return self

    async def __aexit__(self, *raised: object) -> None:
        """End all connections.

        Raises:
            ExceptionGroup: what callbacks raised, and faults of the proxy's own.
        """
        self.heal()
        self._deafen()
        self._anchor.close()
        while self._serving:
            self._cut_all()
            await asyncio.gather(*self._serving, return_exceptions=True)
        if self._errors:
            raise ExceptionGroup("in the fault proxy", self._errors)

    @property
    def kubeconfig(self) -> Path:
        """The file that `write_kubeconfig` wrote last. Raises RuntimeError before."""
        if self._kubeconfig is None:
            raise RuntimeError("write_kubeconfig comes first")
        return self._kubeconfig

    def write_kubeconfig(self, source: Path, target: Path, token: str | None = None) -> Path:
        """Write `source`'s login, or `token`, for a client that is to come by the proxy. Raises ValueError."""
        self._kubeconfig = kubeconfig.write(source, target, kubeconfig.Cluster(self.url, self.ca), token)
        return target

    def add(self, rule: Rule) -> Handle:
        """Put a rule in force, behind those that are."""
        return self._on_loop(lambda: self._add(rule))

    def heal(self) -> None:
        """Take all rules back."""
        self._on_loop(self._remove_all)

    def requests(self, since: float = 0, match: Match = _ANY) -> list[Request]:
        """Those that arrived at or after `since` (`time.monotonic()`) and match."""
        return [request for request in self._recording.requests(since) if match(request)]

    def writes(self, since: float = 0, match: Match = _ANY, *, bookkeeping: bool = False) -> list[Request]:
        """The requests that would change something; the Lease and `kaos-operator-info` only with `bookkeeping`."""
        return [
            request
            for request in self.requests(since, match)
            if request.is_write and (bookkeeping or not request.is_bookkeeping)
        ]

    def in_flight_max(self, since: float = 0, match: Match = _ANY, *, watches: bool = False) -> int:
        """The most requests under way at one moment; watches only when asked for."""
        return peak(self.requests(since, match), watches=watches)

    def wait(self, condition: Callable[[], object], timeout: float = 10, what: str = "the condition") -> None:
        """Block until the condition holds; it is asked whenever something happened here.

        Raises:
            TimeoutError: after `timeout` seconds; it shows the last requests.
        """
        self._blocking()
        self._recording.wait(condition, timeout, what)

    def wait_quiet(self, seconds: float = 2, timeout: float = 30, match: Match = _ANY) -> None:
        """Block until, for that many seconds, no matching request came or was under way: watches, Lease left out.

        Raises:
            TimeoutError: after `timeout` seconds; it shows the last requests.
        """
        self._blocking()
        began = time.monotonic()

        def remaining() -> float:
            last = began
            for request in self.requests(match=match):
                if not request.is_watch and not request.is_bookkeeping:
                    last = max(last, time.monotonic() if request.ended is None else request.ended)
            return last + seconds - time.monotonic()

        while (left := remaining()) > 0:
            if time.monotonic() - began > timeout:
                self._recording.wait(lambda: False, 0, f"{seconds} s without requests")
            time.sleep(min(left, 0.1))

    def _blocking(self) -> None:
        if _running_loop() is self._loop:
            raise RuntimeError("this blocks: not on the proxy's own loop (asyncio.to_thread)")

    def _on_loop(self, work: Callable[[], T]) -> T:
        if _running_loop() is self._loop:
            return work()
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 it is raised where it was asked for
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(timeout=30)

    def _add(self, rule: Rule) -> Handle:
        handle = Handle(rule, self._recording, lambda gone: self._on_loop(lambda: self._remove(gone)))
        self._rules = (*self._rules, handle)
        if any(isinstance(action, Outage) for action in rule.actions):
            self._deafen()
            self._cut_all()
        elif rule.meets_running:
            for exchange in list(self._live):
                exchange.join(handle)
        return handle

    def _remove(self, handle: Handle) -> None:
        if handle.removed.is_set():
            return
        handle.removed.set()
        self._rules = tuple(each for each in self._rules if each is not handle)
        for exchange in list(self._live):
            exchange.leave(handle)
        if not any(isinstance(action, Outage) for each in self._rules for action in each.rule.actions):
            self._listen()

    def _remove_all(self) -> None:
        for handle in self._rules:
            self._remove(handle)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(1024)
            self._loop.add_reader(self._listener, self._accept)

    def _deafen(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._listener is not None:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = self._loop.create_task(self._serve(sock))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)

    def _cut_all(self) -> None:
        for task in self._serving:
            task.cancel()

    async def _serve(self, sock: socket.socket) -> None:
        try:
            await self._thaw()
        except asyncio.CancelledError:
            sock.close()
            raise
        try:
            client = await Stream.accepted(sock, self._context)
        except OSError:  # no TLS, or our certificate is not trusted
            return
        talking, gone = (asyncio.create_task(work) for work in (self._talk(client), client.gone()))
        try:
            await asyncio.wait({talking, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            talking.cancel()
            gone.cancel()
            await asyncio.gather(talking, gone, return_exceptions=True)
            client.abort()
            await client.gone()

    async def _thaw(self) -> None:
        """Wait while a rule leaves new connections without any answer."""
        while True:
            for handle in self._rules:
                dead = [action for action in handle.rule.actions if isinstance(action, HalfOpen) and action.new]
                if dead and handle.rule.match == _ANY:
                    break
            else:
                return
            await handle.removed.wait()
            if not all(action.revive for action in dead):
                await asyncio.Event().wait()  # until the proxy ends

    async def _talk(self, client: Stream) -> None:
        link = Link(self._connect)
        try:
            keep = True
            while keep and (head := await read_head(client.reader)) is not None:
                request = self._recording.begin(head)
                exchange = Exchange(request, head, client, link, lambda: self._rules)
                self._live.add(exchange)
                try:
                    keep = await exchange.run()
                finally:
                    self._live.discard(exchange)
                    self._recording.end(request)
            await client.close()
        except DroppedError as dropped:
            client.abort(reset=dropped.reset)
        except (CutError, OSError):
            client.abort()
        except Exception as error:  # noqa: BLE001 raised when the proxy closes
            self._errors.append(error)
            client.abort()
        finally:
            await link.drop()

    async def _connect(self) -> Stream:
        target = urlsplit(self.upstream_url)
        host = target.hostname or "127.0.0.1"
        return await Stream.connected(host, target.port or 443, self._trust, host)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock
