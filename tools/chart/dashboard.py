"""Dashboard: what Grafana shows of the operator (S3.36), as the JSON that its sidecar reads."""

from __future__ import annotations

import json
from typing import Any

Panel = dict[str, Any]
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_JOB = 'job=~"$job"'
_COLUMNS = 24

# Every replica of the operator counts all resources, so `max`; what a replica did itself is added up. At one that
# does not write all resources wait.
_STATS = [
    ("Ready MCPServers", "max(mcpserver_ready_total{%s})", "none", None),
    ("Compliant MCPServers", "max(mcpserver_validation_compliant{%s})", "none", None),
    ("Failed MCPServers", 'max(mcpserver_phase{%s,phase="Failed"})', "none", "red"),
    ("Runtimes", "max(kaos_runtimes{%s})", "none", None),
    ("Registry valid", "min(kaos_registry_valid{%s})", "bool_yes_no", None),
    ("Plugins that failed", "max(kaos_plugin_failures{%s})", "none", "red"),
    ("Operators that write", "sum(kaos_leader{%s})", "none", None),
    ("Waiting resources", "max(kaos_queue_length{%s} and on (pod) kaos_leader{%s} == 1)", "none", None),
]
_SERIES = [
    ("MCPServers by phase", "max by (phase) (mcpserver_phase{%s})", "{{phase}}", "none", True),
    ("MCPServers by state", "max by (state) (mcpserver_state{%s})", "{{state}}", "none", True),
    ("Pods by transport", "max by (transport) (mcpserver_replicas{%s})", "{{transport}}", "none", True),
    (
        "MCP handshakes",
        "sum by (outcome) (rate(kaos_handshakes_total{%s}[$__rate_interval]))",
        "{{outcome}}",
        "ops",
        True,
    ),
    (
        "Reconciles",
        "sum by (kind, result) (rate(kaos_reconciles_total{%s}[$__rate_interval]))",
        "{{kind}} {{result}}",
        "ops",
        True,
    ),
    (
        "Time of a reconcile, 95th percentile",
        "histogram_quantile(0.95, sum by (le, kind) (rate(kaos_reconcile_seconds_bucket{%s}[$__rate_interval])))",
        "{{kind}}",
        "s",
        False,
    ),
    (
        "Requests to the API server",
        "sum by (method) (rate(kaos_api_requests_total{%s}[$__rate_interval]))",
        "{{method}}",
        "reqps",
        True,
    ),
]


def dashboard() -> dict[str, Any]:
    """The dashboard as data."""
    panels = [_stat(number, *row) for number, row in enumerate(_STATS)]
    panels += [_series(number, *row) for number, row in enumerate(_SERIES)]
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "title": "KAOS",
        "uid": "kaos-operator",
        "tags": ["kaos", "mcp"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source_variable(), _job_variable()]},
        "panels": panels,
    }


def text() -> str:
    """The file that the chart puts into a ConfigMap."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _job_variable() -> dict[str, Any]:
    return {
        "name": "job",
        "label": "Operator",
        "type": "query",
        "datasource": _SOURCE,
        "query": "label_values(kaos_leader, job)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _stat(number: int, title: str, query: str, unit: str, color: str | None) -> Panel:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if color:
        steps.append({"color": color, "value": 1})
    width = 3
    return {
        "type": "stat",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"h": 4, "w": width, "x": number * width % _COLUMNS, "y": 0},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": query.replace("%s", _JOB), "instant": True}],
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _series(number: int, title: str, query: str, legend: str, unit: str, stacked: bool) -> Panel:
    width = 12
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 20} if stacked else {}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"h": 8, "w": width, "x": number * width % _COLUMNS, "y": 4 + number * width // _COLUMNS * 8},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": query.replace("%s", _JOB), "legendFormat": legend}],
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
    }
