"""The operator's own settings, from environment variables. Read once, at the start; everything else is handed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kaos_core.errors import KaosError
from kaos_core.manifests.names import SYSTEM_NAMESPACE
from kaos_core.manifests.pod_security import Level
from kaos_core.settings import Gateway, Settings

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def _setting(name: str, default: Any, text: str) -> Any:
    return field(default=default, metadata={"variable": name, "text": text})


@dataclass(frozen=True)
class Environment:
    """Every variable that the operator reads; times are in seconds."""

    namespace: str = _setting(
        "KAOS_NAMESPACE",
        "",
        "The system namespace: the registry's ConfigMaps, the Lease and `kaos-operator-info` are there. "
        f"Default: the pod's own, else `{SYSTEM_NAMESPACE}`.",
    )
    watch_namespaces: tuple[str, ...] = _setting(
        "KAOS_WATCH_NAMESPACES", (), "The namespaces to serve, comma-separated; empty serves the whole cluster."
    )
    identity: str = _setting("KAOS_IDENTITY", "", "This replica's name in the Lease. Default: the host name.")
    workers: int = _setting("KAOS_WORKERS", 16, "How many resources are reconciled at the same time.")
    requests: int = _setting("KAOS_MAX_REQUESTS", 64, "How many requests to the API server may be open.")
    request_timeout: float = _setting("KAOS_REQUEST_TIMEOUT", 30.0, "Of one request to the API server.")
    retry_first: float = _setting("KAOS_RETRY_FIRST", 0.05, "The first pause before a resource is tried again.")
    retry_limit: float = _setting("KAOS_RETRY_LIMIT", 300.0, "The longest such pause.")
    resync: float = _setting("KAOS_RESYNC", 600.0, "How often every resource is looked at, from memory.")
    stream_silence: float = _setting(
        "KAOS_STREAM_SILENCE", 70.0, "After how long a silent watch is opened again; the server speaks every minute."
    )
    unhealthy_silence: float = _setting(
        "KAOS_UNHEALTHY_SILENCE", 90.0, "After how long a silent watch makes `/healthz` fail, so that it is restarted."
    )
    probe_url: str = _setting(
        "KAOS_PROBE_URL",
        "http://{service}.{namespace}.svc:{port}{path}",
        "Where the MCP handshake goes.",
    )
    probe_interval: float = _setting("KAOS_PROBE_INTERVAL", 60.0, "How often a server is asked again.")
    probe_timeout: float = _setting("KAOS_PROBE_TIMEOUT", 5.0, "Of one MCP handshake.")
    probe_first: float = _setting("KAOS_PROBE_FIRST", 1.0, "The first pause after a handshake that was refused.")
    probes: int = _setting("KAOS_PROBES", 8, "How many handshakes run at the same time.")
    leader_election: bool = _setting("KAOS_LEADER_ELECTION", True, "Whether a Lease decides which replica writes.")
    lease: str = _setting("KAOS_LEASE", "kaos-operator", "The Lease's name.")
    lease_seconds: float = _setting("KAOS_LEASE_SECONDS", 15.0, "How long the Lease lasts without being renewed.")
    http_host: str = _setting("KAOS_HTTP_HOST", "0.0.0.0", "Where `/metrics`, `/healthz` and `/readyz` listen.")  # noqa: S104
    http_port: int = _setting("KAOS_HTTP_PORT", 8080, "Their port; 0 chooses a free one.")
    log_level: str = _setting("KAOS_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.")
    log_format: str = _setting("KAOS_LOG_FORMAT", "json", "`json` (one object a line) or `text`.")
    gateway: str = _setting("KAOS_GATEWAY", "", "`namespace/name` of the Gateway to attach routes to; empty: none.")
    gateway_hosts: tuple[str, ...] = _setting("KAOS_GATEWAY_HOSTS", (), "Host names of the routes, comma-separated.")
    mcpserver_timeout: str = _setting("KAOS_MCPSERVER_TIMEOUT", "30s", "Request timeout of routes to MCPServers.")
    agent_timeout: str = _setting("KAOS_AGENT_TIMEOUT", "120s", "Request timeout of routes to Agents.")
    modelapi_timeout: str = _setting("KAOS_MODELAPI_TIMEOUT", "120s", "Request timeout of routes to ModelAPIs.")
    agent_image: str = _setting("KAOS_AGENT_IMAGE", Settings.agent_image, "Image of Agents.")
    litellm_image: str = _setting("KAOS_LITELLM_IMAGE", Settings.litellm_image, "Image of Proxy ModelAPIs.")
    ollama_image: str = _setting("KAOS_OLLAMA_IMAGE", Settings.ollama_image, "Image of Hosted ModelAPIs.")
    image_pull_secrets: tuple[str, ...] = _setting("KAOS_IMAGE_PULL_SECRETS", (), "Added to every pod.")
    otlp_endpoint: str = _setting(
        "KAOS_OTLP_ENDPOINT", "", "Where telemetry goes when a resource names no endpoint of its own."
    )
    workload_log_level: str = _setting("KAOS_WORKLOAD_LOG_LEVEL", "", "`LOG_LEVEL` of every workload that sets none.")
    pod_security: str = _setting(
        "KAOS_POD_SECURITY",
        "restricted",
        "What namespaces allow when their label cannot be read (scope: a list of namespaces).",
    )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Environment:
        """From the variables of a process.

        Raises:
            KaosError: a value is not of the kind it should be; the message names the variable.
        """
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.metadata["variable"]
            if environ.get(name, "") != "":
                values[setting.name] = _parsed(name, environ[name], setting.default)
        values.setdefault("namespace", _own_namespace())
        values.setdefault("identity", environ.get("HOSTNAME") or _host_name())
        made = cls(**values)
        if made.log_format not in ("json", "text"):
            raise KaosError(f"KAOS_LOG_FORMAT is {made.log_format!r}; it can be json or text")
        if made.log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise KaosError(f"KAOS_LOG_LEVEL is {made.log_level!r}; it can be DEBUG, INFO, WARNING or ERROR")
        if made.pod_security not in ("restricted", "baseline", "privileged"):
            raise KaosError(f"KAOS_POD_SECURITY is {made.pod_security!r}; it can be restricted, baseline or privileged")
        if made.gateway and made.gateway.count("/") != 1:
            raise KaosError(f"KAOS_GATEWAY is {made.gateway!r}; it should be namespace/name")
        return made

    def settings(self, *, routes: bool, pod_security: Level) -> Settings:
        """What the core plans with, for one namespace. `routes`: whether the cluster has HTTPRoutes."""
        gateway = None
        if self.gateway and routes:
            namespace, _, name = self.gateway.partition("/")
            gateway = Gateway(name, namespace, self.gateway_hosts)
        return Settings(
            gateway=gateway,
            route_timeouts={
                "mcpserver": self.mcpserver_timeout,
                "agent": self.agent_timeout,
                "modelapi": self.modelapi_timeout,
            },
            agent_image=self.agent_image,
            litellm_image=self.litellm_image,
            ollama_image=self.ollama_image,
            image_pull_secrets=self.image_pull_secrets,
            otlp_endpoint=self.otlp_endpoint,
            log_level=self.workload_log_level,
            pod_security=pod_security,
        )


def _parsed(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise KaosError(f"{name} is {text!r}; it can be true or false")
        return text.lower() in ("true", "1")
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise KaosError(f"{name} is {text!r}; it should be a number") from None
        if not 0 <= value < 1e9:
            raise KaosError(f"{name} is {text!r}; it should be a number from 0")
        return value
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _own_namespace() -> str:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or SYSTEM_NAMESPACE
    except OSError:
        return SYSTEM_NAMESPACE


def _host_name() -> str:
    import socket

    return socket.gethostname()
