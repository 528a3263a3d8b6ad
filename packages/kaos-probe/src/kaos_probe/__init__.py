"""Probe: one bounded MCP handshake with a server nobody vouches for. Both targets look at their servers with it."""

from kaos_probe.handshake import Transport, handshake

__all__ = ["Transport", "handshake"]
