"""Environment and arguments -> `Config`. `main()` reads them once; the processes it forks inherit the result."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaos_runtime_rawpython.exits import StartError

MIB = 1 << 20
OWN_VARIABLES = ("MCP_TOOLS_STRING", "MCP_TOOLS_STRING_FILE", "POD_IP")
"""Removed from what the tools see, like every `KAOS_*`: they are the server's."""


@dataclass(frozen=True)
class Config:
    """What one server was told.

    Attributes:
        tool_timeout: seconds a call may take, waiting included.
        load_timeout: seconds the code's top level may take.
        tool_memory: bytes of data a worker may hold; 0 for no limit (RLIMIT_DATA).
        tool_processes: tasks a worker may add to those of its user; 0 for no limit (RLIMIT_NPROC).
        max_result: bytes of one result as JSON.
        allowed_hosts: names that may stand in Host and Origin, lower case, without a port.
    """

    host: str
    port: int
    name: str
    tool_timeout: float
    load_timeout: float
    tool_memory: int
    tool_processes: int
    max_result: int
    allowed_hosts: frozenset[str]
    log_level: str
    termination_log: Path

    @classmethod
    def read(cls, argv: Sequence[str] | None, env: Mapping[str, str]) -> Config:
        """Arguments first, then the environment, then the defaults.

        Raises:
            StartError: a number that is none.
            SystemExit: unknown arguments (argparse, status 2).
        """
        parser = argparse.ArgumentParser(
            "kaos_runtime_rawpython.server", description="Serve Python functions as MCP tools."
        )
        parser.add_argument("--host", default=env.get("KAOS_HOST") or "0.0.0.0")  # noqa: S104  # a pod listens on its own address; Host and Origin are checked
        parser.add_argument("--port", type=int, default=int(_number(env, "KAOS_PORT", 8000)))
        arguments = parser.parse_args(argv)
        level = (env.get("LOG_LEVEL") or "INFO").upper()
        return cls(
            host=arguments.host,
            port=arguments.port,
            name=env.get("KAOS_SERVER_NAME") or "RawPython MCP Server",
            tool_timeout=_number(env, "MCP_TOOL_TIMEOUT", 30),
            load_timeout=_number(env, "MCP_LOAD_TIMEOUT", 10),
            tool_memory=int(_number(env, "MCP_TOOL_MEMORY", 1024 * MIB)),
            tool_processes=int(_number(env, "MCP_TOOL_PROCESSES", 64)),
            max_result=int(_number(env, "MCP_MAX_RESULT_BYTES", 8 * MIB)),
            allowed_hosts=_allowed_hosts(arguments.host, env),
            log_level=level if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL") else "INFO",
            termination_log=termination_log(env),
        )


def termination_log(env: Mapping[str, str]) -> Path:
    """Where the kubelet looks for a container's last words."""
    return Path(env.get("KAOS_TERMINATION_LOG") or "/dev/termination-log")


def source_text(env: Mapping[str, str]) -> str:
    """The `params` text: `MCP_TOOLS_STRING`, or the file that `MCP_TOOLS_STRING_FILE` names.

    Raises:
        StartError: both, none, or a file that cannot be read.
    """
    text, path = env.get("MCP_TOOLS_STRING"), env.get("MCP_TOOLS_STRING_FILE")
    if text and path:
        raise StartError("InvalidParams", "both MCP_TOOLS_STRING and MCP_TOOLS_STRING_FILE are set; keep one")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise StartError("InvalidParams", f"MCP_TOOLS_STRING_FILE: {path}: {error.strerror}") from None
    if not text or not text.strip():
        raise StartError("NoTools", "MCP_TOOLS_STRING is not set or empty; put the Python code of the tools in it")
    return text


def scrub(env: os._Environ[str]) -> None:
    """Remove the server's own variables, in place."""
    for name in [name for name in env if name.startswith("KAOS_") or name in OWN_VARIABLES]:
        del env[name]


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise StartError("InvalidParams", f"{name} is {text[:40]!r}; it takes a number of at least 0")
    return value


def _allowed_hosts(host: str, env: Mapping[str, str]) -> frozenset[str]:
    named = ",".join((env.get("KAOS_SERVICE_HOSTS", ""), env.get("KAOS_GATEWAY_HOSTS", ""), env.get("POD_IP", "")))
    hosts = {"localhost", "127.0.0.1", "::1", *named.split(",")}
    if host not in ("", "0.0.0.0", "::"):  # noqa: S104  # not bound to here: an unspecified address is nobody's name
        hosts.add(host)
    return frozenset(name.strip().lower().strip("[]") for name in hosts if name.strip())
