"""Which port each resource gets: always the same one, and never one that somebody else listens on (experience L3)."""

from __future__ import annotations

import socket
import zlib

from kaos_cli.target import Ref
from kaos_core.errors import KaosError

HOST = "127.0.0.1"


class Ports:
    """The ports of one store. The first choice follows from the name, so that it is the same after a deletion too."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._count = last - first + 1
        self._taken: dict[int, Ref] = {}

    def remember(self, ref: Ref, port: int) -> None:
        """A port from an earlier run of the supervisor; ignored when another resource has it."""
        if self._first <= port < self._first + self._count:
            self._taken.setdefault(port, ref)

    def of(self, ref: Ref) -> int | None:
        """The port it has."""
        return next((port for port, owner in self._taken.items() if owner == ref), None)

    def choose(self, ref: Ref) -> int:
        """A port that is free now, the one it had if possible. Nothing of the resource may listen yet.

        Raises:
            KaosError: none is free.
        """
        had = self.of(ref)
        if had is not None and is_free(had):
            return had
        start = zlib.crc32(f"{ref.namespace}/{ref.kind}/{ref.name}".encode()) % self._count
        for step in range(self._count):
            port = self._first + (start + step) % self._count
            if port not in self._taken and is_free(port):
                self.release(ref)
                self._taken[port] = ref
                return port
        last = self._first + self._count - 1
        raise KaosError(
            f"every port of {self._first}-{last} on {HOST} is taken",
            hint="stop a server, or widen KAOS_LOCAL_FIRST_PORT and KAOS_LOCAL_LAST_PORT",
        )

    def release(self, ref: Ref) -> None:
        """Give its port back."""
        self._taken = {port: owner for port, owner in self._taken.items() if owner != ref}


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
