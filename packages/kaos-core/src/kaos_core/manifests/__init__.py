"""Manifests: the objects of one resource as plain dicts, before the user's own overrides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kaos_core.program import Program

Object = dict[str, Any]


@dataclass
class Manifests:
    """What the hook `kaos_manifests` edits.

    The main container's image, command, args, env, ports, files and probes are not in `container` yet: they are
    `program`, which both targets share. Whatever a hook puts into `container` lies over them, in the cluster only.
    `deployment` is empty for a runtime that has no workload.
    """

    program: Program
    deployment: Object = field(default_factory=dict)
    service: Object = field(default_factory=dict)
    extra: list[Object] = field(default_factory=list)

    @property
    def pod(self) -> Object:
        """The pod template: `metadata` and `spec`."""
        pod: Object = self.deployment["spec"]["template"]
        return pod

    @property
    def container(self) -> Object:
        """The main container."""
        container: Object = self.pod["spec"]["containers"][0]
        return container
