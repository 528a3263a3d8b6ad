"""What was asked of the API server: counters from its own metrics, and one entry per request from its audit log."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
Counted = Counter[tuple[str, str, str]]
"""By verb (as in metrics), resource and subresource (empty: the object itself)."""

_LINE = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_VERBS = {
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # A request gets its entry when it is answered.
    "omitStages": ["RequestReceived", "Panic"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["*"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata"},
    ],
}
"""Everything but the API server's own requests, without bodies."""


def count_writes(metrics: str, without: frozenset[str]) -> Counted:
    """Writes in the text of `/metrics`, refused ones too; dry runs and the resources in `without` left out."""
    counted: Counted = Counter()
    for line in _LINE.finditer(metrics):
        labels = dict(_LABEL.findall(line[1]))
        if labels["verb"] in WRITES and not labels["dry_run"] and labels["resource"] not in without:
            counted[labels["verb"], labels["resource"], labels["subresource"]] += int(float(line[2]))
    return counted


@dataclass(frozen=True)
class Request:
    """One that was answered, or a watch that began (`verb` `watch`; its end is no entry)."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    agent: str
    code: int
    time: str

    @property
    def is_write(self) -> bool:
        """Whether it asked for a change."""
        return self.verb in _VERBS

    @property
    def key(self) -> tuple[str, str, str]:
        """As in `Counted`; an apply is a PATCH here, the audit log does not tell them apart."""
        return _VERBS.get(self.verb, self.verb.upper()), self.resource, self.subresource


def read_audit(log: Path, start: int = 0) -> Iterator[Request]:
    """The entries from a byte on."""
    if not log.exists():
        return
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            entry = json.loads(line)
            if entry["verb"] == "watch" and entry["stage"] == "ResponseComplete":
                continue
            yield _request(entry)


def _request(entry: dict[str, Any]) -> Request:
    target = entry.get("objectRef") or {}
    return Request(
        verb=entry["verb"],
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        user=entry.get("user", {}).get("username", ""),
        agent=entry.get("userAgent", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
        time=entry["requestReceivedTimestamp"],
    )
