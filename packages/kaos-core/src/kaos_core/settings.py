"""Settings: what the people who run a target decide for every resource on it. An input of `plan`."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaos_core.manifests.pod_security import Level

KAOS_VERSION = "0.1.0"
IMAGE_REGISTRY = "ghcr.io/kaos-tools"


def image(name: str) -> str:
    """The reference of an image of our own, at this release."""
    return f"{IMAGE_REGISTRY}/{name}:{KAOS_VERSION}"


@dataclass(frozen=True)
class Gateway:
    """The Gateway that routes are attached to, and the host names people reach it by."""

    name: str
    namespace: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The settings of one namespace.

    Attributes:
        gateway: None makes no routes.
        route_timeouts: role -> default request timeout of a route (C12).
        agent_image: image of agents; `litellm_image` and `ollama_image` are those of ModelAPIs.
        image_pull_secrets: added to every pod.
        otlp_endpoint: where telemetry goes when a resource names no endpoint.
        log_level: LOG_LEVEL of every workload that sets none.
        pod_security: what the namespace allows, from its label `kaos.tools/pod-security`.
    """

    gateway: Gateway | None = None
    route_timeouts: dict[str, str] = field(
        default_factory=lambda: {"mcpserver": "30s", "agent": "120s", "modelapi": "120s"}
    )
    agent_image: str = image("kaos-agent")
    litellm_image: str = "ghcr.io/berriai/litellm:main-stable"
    ollama_image: str = "docker.io/ollama/ollama:0.12.6"
    image_pull_secrets: tuple[str, ...] = ()
    otlp_endpoint: str = ""
    log_level: str = ""
    pod_security: Level = "restricted"
