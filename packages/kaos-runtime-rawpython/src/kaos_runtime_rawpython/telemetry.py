"""Traces: one span per `tools/call`, sent by the front to an OTLP collector over HTTP; none where no endpoint is set.

FastMCP makes a span of each request by OpenTelemetry's API, a child of the client's span where the request's `_meta`
carries a `traceparent`. Here is what sends them; the SDK is imported only then, and never in the template or a worker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

log = logging.getLogger("kaos.rawpython")

CALL = "tools/call"
MAX_TEXT = 256
"""Characters of a span's name and of each attribute: the caller chooses the tool's name."""
DELAY_MILLISECONDS = 1000
"""Until a span is sent, unless OTEL_BSP_SCHEDULE_DELAY says so; the SDK's own default is 5 s."""
FLUSH_SECONDS = 2.0
"""For what is still to be sent when the server ends. Less than what `kaos down` and the kubelet wait for."""
QUIET_SECONDS = 60.0
_TALKERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


def endpoint(env: Mapping[str, str]) -> str:
    """Where spans go by the variables of OpenTelemetry's specification; empty when they go nowhere."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    return env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""


@contextlib.contextmanager
def spans_sent(env: os._Environ[str]) -> Iterator[None]:
    """Send the spans of all calls in between, and what is left of them at the end.

    A thread sends them in batches: a call never waits, and a collector that does not answer costs a line a minute and
    the oldest of 2048 spans. What cannot be set up is one line in the log.
    """
    provider = _provider(env) if endpoint(env) else None
    try:
        yield
    finally:
        if provider:
            # It waits for the collector as long as the SDK likes; as a daemon it ends with this process.
            flush = threading.Thread(target=provider.shutdown, daemon=True)
            flush.start()
            flush.join(FLUSH_SECONDS)


def _provider(env: Mapping[str, str]) -> TracerProvider | None:
    if why := _unsupported(env):
        log.warning("no traces are sent: %s; this server speaks OTLP over HTTP (http/protobuf)", why)
        return None
    try:
        return _start(env)
    except Exception as error:  # noqa: BLE001  # whatever its variables and certificates hold: the tools are served
        log.warning("no traces are sent: %s: %s", type(error).__name__, error)
        return None


def _unsupported(env: Mapping[str, str]) -> str:
    name = next(
        (name for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") if env.get(name)), ""
    )
    if name and env[name] != "http/protobuf":
        return f"{name} is {env[name][:40]!r}"
    if not endpoint(env).lower().startswith(("http://", "https://")):
        return "the endpoint is no http:// or https:// URL"
    return ""


def _start(env: Mapping[str, str]) -> TracerProvider:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Calls(BatchSpanProcessor):
        """Keeps the spans of calls: those of probes and listings tell nothing about the tools."""

        def on_end(self, span: ReadableSpan) -> None:
            if (span.attributes or {}).get("mcp.method.name") == CALL:
                super().on_end(_told(span))

    seldom = _seldom()
    for name in _TALKERS:
        logging.getLogger(name).addFilter(seldom)
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_attribute_length=MAX_TEXT))
    delay = None if env.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MILLISECONDS
    provider.add_span_processor(Calls(OTLPSpanExporter(), schedule_delay_millis=delay))
    trace.set_tracer_provider(provider)
    return provider


def _told(span: ReadableSpan) -> ReadableSpan:
    """What leaves the server: which tool, when, how long, whether it failed, but no text of an error.

    As in the log (catalogue, B67), that text may hold a secret. A tool that is not there gives the span no name: it
    would be one more name for each that a caller makes up.
    """
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    is_known = (span.attributes or {}).get("error.type") != "NotFoundError"
    return ReadableSpan(
        name=span.name[:MAX_TEXT] if is_known else CALL,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _seldom() -> Callable[[logging.LogRecord], bool]:
    """A filter that lets one line pass, and the next after a while."""
    quiet_until = 0.0

    def passes(_: logging.LogRecord) -> bool:
        nonlocal quiet_until
        now = time.monotonic()
        if now < quiet_until:
            return False
        quiet_until = now + QUIET_SECONDS
        return True

    return passes
