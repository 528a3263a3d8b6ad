"""Messages between front and worker: JSON in packets over a local socket pair, length-limited, nothing pickled.

Packets keep their borders (SOCK_SEQPACKET), so the front can take back whole calls that a stuck worker has not read.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

PACKET_BYTES = 60 * 1024
"""Payload of one packet: below any system's socket buffer."""
_HEADER = struct.Struct("<BBQ")


class Kind(IntEnum):
    """What a message is; a call and its result share an id."""

    CALL = 1
    RESULT = 2
    PING = 3
    PONG = 4
    LOADED = 5
    FAILED = 6


@dataclass(frozen=True)
class Message:
    """One whole message."""

    kind: Kind
    id: int
    payload: bytes


class ProtocolError(Exception):
    """The other side sent what it should not: an unknown kind, or more than the limit."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; both keep packet borders."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def are_packets_supported() -> bool:
    """Whether this system has packet sockets between its own processes: Linux does, macOS names them and does not.

    Raises:
        OSError: it may have, and cannot make one now.
    """
    try:
        pair = socket_pair()
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.EPROTOTYPE, errno.ESOCKTNOSUPPORT, errno.EOPNOTSUPP):
            return False
        raise
    for end in pair:
        end.close()
    return True


def packets(kind: Kind, id_: int, payload: bytes = b"") -> Iterator[bytes]:
    """A message as packets; all but the last are marked as continued."""
    last = max(len(payload) - 1, 0) // PACKET_BYTES
    for number in range(last + 1):
        part = payload[number * PACKET_BYTES : (number + 1) * PACKET_BYTES]
        yield _HEADER.pack(kind, number < last, id_) + part


def finished_call(packet: bytes) -> int | None:
    """The id of the call that this packet completes; None for any other packet."""
    kind, continued, id_ = _HEADER.unpack_from(packet)
    return id_ if kind == Kind.CALL and not continued else None


class Assembler:
    """Packets -> messages; packets of different messages may come mixed.

    Args:
        limit: bytes that all unfinished messages may hold together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._parts: dict[tuple[int, int], list[bytes]] = {}

    def feed(self, packet: bytes) -> Message | None:
        """The message that this packet completes, if it does.

        Raises:
            ProtocolError: over the limit, too short, or of unknown kind.
        """
        if len(packet) < _HEADER.size:
            raise ProtocolError(f"a packet of {len(packet)} bytes")
        number, continued, id_ = _HEADER.unpack_from(packet)
        try:
            kind = Kind(number)
        except ValueError:
            raise ProtocolError(f"a message of kind {number}") from None
        payload = packet[_HEADER.size :]
        if self._held + len(payload) > self._limit:
            raise ProtocolError(f"a message of more than {self._limit:,} bytes")
        if continued:
            self._held += len(payload)
            self._parts.setdefault((kind, id_), []).append(payload)
            return None
        parts = self._parts.pop((kind, id_), None)
        if parts is not None:
            self._held -= sum(map(len, parts))
            payload = b"".join((*parts, payload))
        return Message(kind, id_, payload)


class Sender:
    """The worker's way back: any of its threads may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, kind: Kind, id_: int, payload: bytes = b"") -> None:
        """Send one message, waiting for room."""
        if len(payload) <= PACKET_BYTES:
            # One packet cannot be torn, so it needs no lock.
            self._sock.send(next(packets(kind, id_, payload)))
            return
        with self._lock:
            for packet in packets(kind, id_, payload):
                self._sock.send(packet)
