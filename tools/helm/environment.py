"""The environment of a helm that knows no cluster, and nothing of what its user has set up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def alone(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """`environ` with helm's own folders in `home`, and a kubeconfig that is not there."""
    kept = {name: value for name, value in environ.items() if not name.startswith("HELM_")}
    folders = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {**kept, **folders, "KUBECONFIG": str(home / "none")}
