"""Dist: the charts -> files for `kubectl apply`. `nox -s dist` runs it; it needs helm and nothing of ours installed.

dist/crds.yaml          the CRDs
dist/install.yaml       the namespace kaos-system, the CRDs, and the operator with its rights and policy (S3.1)
dist/monitoring.yaml    ServiceMonitor, alerts and dashboard (S3.2)
dist/kustomization.yaml what `deploy/kustomize` builds on
dist/*.tgz              the charts as helm takes them from a URL
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from helm.binary import find
from helm.environment import alone

ROOT = Path(__file__).parents[2]
NAMESPACE = "kaos-system"
_MONITORING = ("serviceMonitor", "rules", "dashboards")
_TEMPLATES = ("servicemonitor", "prometheusrule", "dashboard")
_HELMS = ("# Source:", "helm.sh/chart:", 'app.kubernetes.io/managed-by: "Helm"', "helm.sh/resource-policy:")
"""Beginnings of lines that only mean something to helm."""
_HEAD = "# Made from the charts by `nox -s dist`.\n"
_SYSTEM = f"""\
---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: kaos
    pod-security.kubernetes.io/enforce: restricted
"""
_KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - install.yaml
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; 0. A chart that does not render ends it with helm's own words."""
    parser = argparse.ArgumentParser(description="Write what `kubectl apply` takes, from the charts.")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="the folder")
    options = parser.parse_args(arguments)
    try:
        write(find(lambda line: sys.stderr.write(f"{line}\n")), options.to)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr)
        return 1
    return 0


def write(helm: Path, folder: Path) -> None:
    """Write all files into a folder.

    Raises:
        subprocess.CalledProcessError: helm refuses one of the charts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crds = plain(template(helm, "kaos-crds"))
    monitoring = [argument for name in _MONITORING for argument in ("--set", f"metrics.{name}.enabled=true")]
    monitoring += [argument for name in _TEMPLATES for argument in ("-s", f"templates/{name}.yaml")]
    texts = {
        "crds.yaml": _HEAD + crds,
        "install.yaml": _HEAD + _SYSTEM + crds + plain(template(helm, "kaos", "--skip-tests")),
        "monitoring.yaml": _HEAD + plain(template(helm, "kaos", *monitoring)),
        "kustomization.yaml": _HEAD + _KUSTOMIZATION,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for chart in ("kaos-crds", "kaos"):
        _run(helm, "package", str(ROOT / "charts" / chart), "-d", str(folder))


def template(helm: Path, chart: str, *arguments: str) -> str:
    """A chart as helm renders it without a cluster, as release `kaos` in the system namespace."""
    return _run(helm, "template", "kaos", str(ROOT / "charts" / chart), "-n", NAMESPACE, *arguments)


def plain(text: str) -> str:
    """Rendered text without what says that helm looks after it: who applies the file does."""
    kept = [line for line in text.splitlines() if not line.strip().startswith(_HELMS)]
    # An `annotations:` of which nothing is left means null.
    kept = [
        line
        for line, following in zip(kept, [*kept[1:], ""], strict=True)
        if line.strip() != "annotations:" or _indent(following) > _indent(line)
    ]
    return "\n".join(kept).rstrip() + "\n"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _run(helm: Path, *arguments: str) -> str:
    """Run helm without a cluster, and without what its user has set up."""
    with tempfile.TemporaryDirectory() as home:
        env = alone(os.environ, Path(home))
        done = subprocess.run([helm, *arguments], env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
