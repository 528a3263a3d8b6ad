"""Metrics: what `/metrics` says. Labels are from closed lists, so that nobody's input can make a new series (B73)."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

PHASES = ("Pending", "Ready", "Failed")
STATES = ("Creating", "Running", "Scaling", "Failed", "ValidationFailed", "Terminating")
TRANSPORTS = ("streamable-http", "sse", "unknown")


class Metrics:
    """The operator's own numbers; those of the resources are counted when somebody asks."""

    def __init__(self, resources: Iterable[Mapping[str, Any]], sent: Mapping[str, int]) -> None:
        registry = self.registry = CollectorRegistry(auto_describe=True)
        self.reconciles = Counter(
            "kaos_reconciles", "Reconciles by kind and result.", ["kind", "result"], registry=registry
        )
        self.seconds = Histogram(
            "kaos_reconcile_seconds",
            "How long a reconcile took, in seconds.",
            ["kind"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.waiting = Gauge("kaos_queue_length", "Resources that wait for a reconcile.", registry=registry)
        self.leads = Gauge("kaos_leader", "Whether this replica writes.", registry=registry)
        self.handshakes = Counter("kaos_handshakes", "MCP handshakes by outcome.", ["outcome"], registry=registry)
        self.runtimes = Gauge("kaos_runtimes", "Runtimes in the registry.", registry=registry)
        self.registry_valid = Gauge(
            "kaos_registry_valid", "1 when every entry of every registry ConfigMap could be used.", registry=registry
        )
        self.plugin_failures = Gauge("kaos_plugin_failures", "Plugins that could not be used.", registry=registry)
        registry.register(_Resources(resources))
        registry.register(_Requests(sent))

    def text(self) -> bytes:
        """The exposition format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class _Requests(Collector):
    """What the API client counts itself."""

    def __init__(self, sent: Mapping[str, int]) -> None:
        self._sent = sent

    def describe(self) -> Iterator[CounterMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("kaos_api_requests", "Requests to the API server by method.", labels=["method"])
        for method, count in self._sent.items():
            family.add_metric([method], count)
        yield family


class _Resources(Collector):
    """S3.32 to S3.35: MCPServers by what their statuses say."""

    def __init__(self, resources: Iterable[Mapping[str, Any]]) -> None:
        self._resources = resources

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        servers = [doc.get("status") or {} for doc in self._resources if doc["kind"] == "MCPServer"]
        yield GaugeMetricFamily(
            "mcpserver_ready_total", "MCPServers that are Ready.", value=sum(bool(s.get("ready")) for s in servers)
        )
        yield _family(
            "mcpserver_phase", "MCPServers by phase.", "phase", PHASES, Tally(s.get("phase") for s in servers)
        )
        yield _family(
            "mcpserver_state", "MCPServers by state.", "state", STATES, Tally(s.get("state") for s in servers)
        )
        compliant = sum(bool((s.get("validation") or {}).get("compliant")) for s in servers)
        yield GaugeMetricFamily(
            "mcpserver_validation_compliant", "MCPServers whose handshake was well-formed.", value=compliant
        )
        replicas: Tally[str] = Tally()
        for status in servers:
            used = (status.get("validation") or {}).get("transportUsed", "unknown")
            replicas[used if used in TRANSPORTS else "unknown"] += int(status.get("replicas") or 0)
        yield _family("mcpserver_replicas", "Pods of MCPServers by transport.", "transport", TRANSPORTS, replicas)


def _family(name: str, text: str, label: str, values: Iterable[str], counted: Mapping[Any, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value in values:
        family.add_metric([value], counted.get(value, 0))
    return family
