"""Traces: a real collector on loopback, a real server process, a real client."""

import asyncio
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import kaos_runtime_rawpython as plugin
from kaos_core import testing
from kaos_core.plan import plan
from kaos_core.registry import Registry

CODE = '''
import sys
from fastmcp.exceptions import ToolError
def add(a: int, b: int) -> int:
    """x"""
    return a + b
def tells(text: str) -> str:
    """x"""
    raise ToolError(text)
def raises(text: str) -> str:
    """x"""
    raise ValueError(text)
def imported() -> list[str]:
    """x"""
    return [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "google.protobuf"))]
'''
SDK = "google/_upb"
"""In the memory map of a process that has imported what the exporter is made of."""
NEVER = "3600000"
"""Milliseconds after which a span would be sent by itself."""


@dataclass
class Collector:
    """What a collector's `otlphttp` receiver was sent."""

    port: int
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[tuple[dict[str, str], Span]]:
        """Each with the attributes of its resource."""
        found = []
        for _, _, body in self.requests:
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = {entry.key: entry.value.string_value for entry in group.resource.attributes}
                found += [(resource, span) for scope in group.scope_spans for span in scope.spans]
        return found

    def until(self, count: int) -> list[tuple[dict[str, str], Span]]:
        deadline = time.monotonic() + 60
        while len(self.spans) < count:
            assert time.monotonic() < deadline, f"{len(self.spans)} of {count} spans arrived"
            time.sleep(0.02)
        return self.spans


@pytest.fixture
def collector():
    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((self.path, self.headers["Content-Type"], body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        made = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def traced(start, collector):
    """A server with what the plan of a resource gives it, and more variables if the test says so."""
    plugins = testing.builtin_plugins()
    plugins.register(plugin, "rawpython")
    telemetry = {"enabled": True, "endpoint": collector.endpoint}
    made = plan(testing.server("rawpython", params=CODE, telemetry=telemetry), Registry.build(plugins), plugins)
    assert made.problems == ()
    told = {entry["name"]: entry["value"] for entry in made.process.env}
    return lambda **env: start(**told, **env).until_ready()


@pytest.fixture
def parent_span():
    """The context of a client that is part of a trace."""
    return trace.SpanContext(0xABCDEF0123456789ABCDEF0123456789, 0x0123456789ABCDEF, False, trace.TraceFlags(1))


def ended(server):
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait() == 0, server.log


def attributes(span):
    return {entry.key: entry.value.string_value for entry in span.attributes}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_is_one_span_and_handshakes_and_listings_are_none(traced, collector, mode):
    server = traced()

    async def run():
        async with server.connected(mode) as client:
            await client.list_tools()
            return await client.call_tool("add", {"a": 1, "b": 2})

    assert asyncio.run(run()).data == 3
    collector.until(1)  # while the server runs
    ended(server)

    ((resource, span),) = collector.spans
    assert resource["service.name"] == resource["kaos.resource.name"] == "check"
    assert resource["service.namespace"] == "default"
    assert (span.name, span.kind) == ("tools/call add", Span.SPAN_KIND_SERVER)
    assert attributes(span)["gen_ai.tool.name"] == "add"
    assert attributes(span)["mcp.method.name"] == "tools/call"
    assert span.status.code != Status.STATUS_CODE_ERROR
    assert span.parent_span_id == b""
    assert 0 < span.start_time_unix_nano < span.end_time_unix_nano
    assert {request[:2] for request in collector.requests} == {("/v1/traces", "application/x-protobuf")}


def test_each_of_many_calls_is_one_span(traced, collector):
    server = traced()

    async def run():
        async with server.connected() as client:
            await asyncio.gather(*(client.call_tool("add", {"a": n, "b": n}) for n in range(50)))

    asyncio.run(run())
    ended(server)

    assert [span.name for _, span in collector.spans] == ["tools/call add"] * 50
    assert len({span.span_id for _, span in collector.spans}) == 50


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("tells", {"text": "canary"}), ("raises", {"text": "canary"}), ("add", {"a": "canary", "b": 1})],
)
def test_a_call_that_failed_is_an_error_without_its_text(traced, collector, tool, arguments):
    server = traced()
    assert server.call(tool, arguments).is_error
    ended(server)

    ((_, span),) = collector.spans
    assert span.name == f"tools/call {tool}"
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"]
    assert "canary" not in str(collector.requests)


def test_a_tool_that_is_not_there_gives_no_span_its_name_and_no_long_attribute(traced, collector):
    server = traced()
    assert server.call("n" * 5000).is_error
    ended(server)

    ((_, span),) = collector.spans
    assert span.name == "tools/call"
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["gen_ai.tool.name"] == "n" * 256
    assert len(collector.requests[0][2]) < 4096


def test_a_call_within_a_trace_of_the_client_is_part_of_it(traced, collector, parent_span):
    server = traced()
    with trace.use_span(trace.NonRecordingSpan(parent_span)):
        assert server.call("add", {"a": 1, "b": 2}).data == 3
    ended(server)

    ((_, span),) = collector.spans
    assert int.from_bytes(span.trace_id) == parent_span.trace_id
    assert int.from_bytes(span.parent_span_id) == parent_span.span_id


def test_what_is_not_sent_yet_is_sent_when_the_server_ends(traced, collector):
    server = traced(OTEL_BSP_SCHEDULE_DELAY=NEVER)
    assert server.call("add", {"a": 1, "b": 2}).data == 3
    assert collector.spans == []
    ended(server)
    assert len(collector.spans) == 1


def test_with_a_dead_collector_calls_work_and_the_log_has_one_line_of_it(start):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can get this port
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        server = start(CODE, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="20").until_ready()
        for n in range(20):
            assert server.call("add", {"a": n, "b": 1}).data == n + 1
        until_logged(server, "encountered while exporting")
        ended(server)
    (line,) = server.log.splitlines()
    assert endpoint.rpartition(":")[2] in line


def test_with_a_collector_that_never_answers_calls_work_and_the_server_ends_before_it_is_killed(start):
    """The kubelet waits 30 s; the exporter alone would wait longer."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        patient = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}  # ms, s
        server = start(CODE, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **patient).until_ready()
        assert server.call("add", {"a": 1, "b": 2}).data == 3
        with deaf.accept()[0] as connection:  # a span is on its way
            assert server.call("add", {"a": 3, "b": 4}).data == 7
            os.kill(server.pid, signal.SIGTERM)
            assert server.wait(25) == 0, server.log
            assert connection.recv(4) == b"POST"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://127.0.0.1:4317"}, "the endpoint is no http:// or https:// URL"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "max_queue_size must be a positive integer"),
    ],
)
def test_telemetry_that_cannot_be_set_up_is_a_line_in_the_log_and_no_more(start, env, says):
    server = start(CODE, **{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **env}).until_ready()
    assert server.call("add", {"a": 1, "b": 2}).data == 3
    ended(server)
    assert server.log.count("no traces are sent") == 1
    assert says in server.log


@pytest.mark.parametrize(
    "env", [{}, {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}]
)
def test_a_server_without_telemetry_has_none_of_it_in_memory(start, env):
    server = start(CODE, OTEL_SERVICE_NAME="calc", **env).until_ready()
    assert server.call("imported").data == []
    assert not any(SDK in maps(pid) for pid in server.processes())


def test_with_telemetry_only_the_front_has_it_in_memory(traced):
    server = traced()
    assert server.call("imported").data == []
    assert [SDK in maps(pid) for pid in server.processes()] == [True, False, False]


def test_importing_the_server_imports_no_sdk():
    script = (
        "import sys, kaos_runtime_rawpython.server\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def maps(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def until_logged(server, words):
    deadline = time.monotonic() + 60
    while words not in server.log:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.02)
