"""A fault proxy: stands between a client (the operator) and a real kube-apiserver, and does harm on request.

Example:
    with hosted(url, ca) as proxy:
        proxy.write_kubeconfig(admin_kubeconfig, tmp_path / "kubeconfig")
        conflict = proxy.add(Rule(Match("PATCH", r"/mcpservers/calc/status"), Answer(409), count=3))
        ...                                   # start the operator with proxy.kubeconfig, edit objects
        conflict.wait(fired=3)
        proxy.heal()
        proxy.wait_quiet(2)
        assert len(proxy.writes()) == 6

What can be done: `faultproxy.actions`, `faultproxy.lines` (of watches); to which requests: `faultproxy.rules`.
Hostile MCP servers stand in `faultproxy.hostile`, pytest's fixture in `faultproxy.fixtures`.
HTTP/1.1 only; connections that are upgraded (exec, port-forward) are dropped.
"""

from __future__ import annotations

from faultproxy.actions import (
    Answer,
    Call,
    Delay,
    Drop,
    HalfOpen,
    Outage,
    Record,
    Replay,
    Tape,
    Truncate,
    status_object,
)
from faultproxy.hosting import hosted
from faultproxy.lines import (
    BOOKMARK_WITHOUT_METADATA,
    MALFORMED,
    UNKNOWN_TYPE,
    CloseWatch,
    DuplicateLines,
    HoldLines,
    Inject,
    LoseLines,
    error_event,
)
from faultproxy.proxy import FaultProxy
from faultproxy.recording import Request
from faultproxy.rules import Handle, Match, Rule

__all__ = [
    "BOOKMARK_WITHOUT_METADATA",
    "MALFORMED",
    "UNKNOWN_TYPE",
    "Answer",
    "Call",
    "CloseWatch",
    "Delay",
    "Drop",
    "DuplicateLines",
    "FaultProxy",
    "HalfOpen",
    "Handle",
    "HoldLines",
    "Inject",
    "LoseLines",
    "Match",
    "Outage",
    "Record",
    "Replay",
    "Request",
    "Rule",
    "Tape",
    "Truncate",
    "error_event",
    "hosted",
    "status_object",
]
