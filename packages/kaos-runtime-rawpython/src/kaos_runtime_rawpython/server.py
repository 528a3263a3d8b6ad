"""`python -m kaos_runtime_rawpython.server`: serves the functions of a Python source text as MCP tools.

Flow: environment -> `Config` and code -> template process (forked while there is one thread) -> HTTP front and pool.
Importing this module loads all that is heavy and starts nothing, so that a parent can import it once and fork servers
that call `main()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

_READ_BY_FASTMCP_AT_IMPORT = {
    # It reads ./.env otherwise: whatever folder the server happens to start in.
    "FASTMCP_ENV_FILE": os.devnull,
    # The banner asks the package index for newer versions.
    "FASTMCP_SHOW_SERVER_BANNER": "false",
    "FASTMCP_CHECK_FOR_UPDATES": "off",
    # Each failing tool costs 20 ms of formatting with rich, and a log is read by machines.
    "FASTMCP_ENABLE_RICH_LOGGING": "false",
    "FASTMCP_ENABLE_RICH_TRACEBACKS": "false",
}
_not_set = {name: value for name, value in _READ_BY_FASTMCP_AT_IMPORT.items() if name not in os.environ}
os.environ.update(_not_set)

import fastmcp  # noqa: E402, TID253  # after the variables above; this module is what the server is made of
import uvicorn  # noqa: E402

# Imported for the processes that are forked from here: each would pay for them again.
import uvicorn.lifespan.on  # noqa: E402
import uvicorn.loops.auto  # noqa: E402
import uvicorn.protocols.http.auto  # noqa: E402
from fastmcp.server.http import create_streamable_http_app  # noqa: E402, F401, TID253  # as above
from starlette.types import ASGIApp  # noqa: E402

from kaos_runtime_rawpython.channel import are_packets_supported  # noqa: E402
from kaos_runtime_rawpython.config import Config, source_text, termination_log  # noqa: E402
from kaos_runtime_rawpython.exits import StartError, refuse  # noqa: E402
from kaos_runtime_rawpython.front import build_app  # noqa: E402
from kaos_runtime_rawpython.limits import adopt_orphans  # noqa: E402
from kaos_runtime_rawpython.pool import Pool, log  # noqa: E402
from kaos_runtime_rawpython.source import SourceError, tools_source  # noqa: E402
from kaos_runtime_rawpython.telemetry import spans_sent  # noqa: E402
from kaos_runtime_rawpython.template import fork_template  # noqa: E402

for _name in _not_set:
    # Tools see the environment that the server was given.
    del os.environ[_name]

DRAIN_SECONDS = 10
_BACKLOG = 512


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit status: 0; 1 when the port is taken or the template is lost; 78 when the code cannot be served, or
        nothing can on this system.
    """
    try:
        config = Config.read(argv, os.environ)
        _require_packets()
        code = tools_source(source_text(os.environ))
    except SourceError as error:
        return refuse(StartError(error.reason, error.message), termination_log(os.environ))
    except StartError as error:
        return refuse(error, termination_log(os.environ))

    _configure_logging(config)
    # What is loaded by now stays for good: unfrozen, the collector would write to, and so copy, every shared page.
    gc.freeze()
    adopt_orphans()
    template, control = fork_template(config, code)
    try:
        with _listen(config) as listener:
            return asyncio.run(_serve(config, template, control, listener))
    except StartError as error:
        return refuse(error, config.termination_log)
    except OSError as error:
        sys.stderr.write(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another with --port\n"
        )
        return 1


async def _serve(config: Config, template: int, control: socket.socket, listener: socket.socket) -> int:
    pool = Pool(config, template, control)
    pool.start()
    # After the fork of the template, which must have one thread, and while the first worker loads the code.
    with spans_sent(os.environ):
        try:
            server = _Server(_uvicorn_config(build_app(config, pool)))
            pool.loaded.add_done_callback(lambda done: server.stop() if done.exception() else None)
            pool.broken.add_done_callback(lambda _: server.stop())
            await server.serve(sockets=[listener])
        finally:
            pool.close()
    if pool.loaded.done() and (error := pool.loaded.exception()):
        raise error
    if pool.broken.done():
        log.error("the process that forks workers is gone; restart the server")
        return 1
    return 0


class _Server(uvicorn.Server):
    """uvicorn, except that a signal ends it with status 0 instead of being raised again after the drain."""

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        yield


def _require_packets() -> None:
    if not are_packets_supported():
        raise StartError(
            "NoLocalRuntime",
            "this version of the rawpython server needs Linux (packet sockets, SOCK_SEQPACKET); run it in a container "
            "or a Linux virtual machine",
        )


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=_BACKLOG,
    )


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # With the protocol named (create_server() leaves it 0) asyncio turns Nagle's algorithm off; else each answer
    # waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(config.host != "::"))
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _configure_logging(config: Config) -> None:
    logging.basicConfig(
        level=config.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )
    for name in ("uvicorn", "mcp", "fastmcp", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG if config.log_level == "DEBUG" else logging.WARNING)
    library = logging.getLogger("fastmcp")
    library.handlers.clear()
    library.propagate = True
    # A forking parent may have imported FastMCP before this module set its variables.
    fastmcp.settings.enable_rich_tracebacks = False
    if not any(name.startswith("OTEL_") for name in os.environ):
        fastmcp.settings.telemetry_mode = "off"


if __name__ == "__main__":
    sys.exit(main())
