"""A kubeconfig as text: one cluster, one user, one context. JSON, which is YAML."""

from __future__ import annotations

import base64
import json
from pathlib import Path


def kubeconfig(url: str, authority: bytes, user: str, token: str, namespace: str = "default") -> str:
    """`authority` is the PEM that the server's certificate is verified with."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode("ascii")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "controlplane", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [
            {"name": "controlplane", "context": {"cluster": "controlplane", "user": user, "namespace": namespace}}
        ],
        "current-context": "controlplane",
    }
    return json.dumps(document, indent=1) + "\n"


def write_private(path: Path, text: str) -> Path:
    """Readable by the owner alone."""
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path
