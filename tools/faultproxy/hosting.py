"""An event loop in a thread of its own, for synchronous tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from faultproxy.proxy import FaultProxy

T = TypeVar("T")


class LoopThread:
    """`with LoopThread("name") as thread: thread.run(coroutine())`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self.run(self._loop.shutdown_default_executor())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        """Its result. Raises what it raises, and TimeoutError after `timeout` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)


@contextmanager
def hosted(upstream_url: str, ca: str | None) -> Iterator[FaultProxy]:
    """A proxy that runs in a thread; its methods are called as they are. Raises what `FaultProxy` raises."""
    with LoopThread("faultproxy") as thread:
        proxy = FaultProxy(upstream_url, ca)
        thread.run(proxy.__aenter__())
        try:
            yield proxy
        finally:
            thread.run(proxy.__aexit__(None, None, None))
