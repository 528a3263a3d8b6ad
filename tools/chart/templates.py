"""Templates: the operator's `rbac` and `admission` -> templates of the chart. Nothing of either is written by hand.

The objects are made with marks for what a release decides, and written out; then the marks become actions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kaos_operator import admission, rbac

Object = dict[str, Any]
Dump = Callable[[Object], str]
FOLDER = Path("charts/kaos/templates")
_MARKS = {
    "x-release-namespace": "$.Release.Namespace",
    "x-served-namespace": ".",
    "x-account": 'include "kaos.account" $',
}
_RELEASE, _SERVED, _ACCOUNT = _MARKS
_LABELS = "labels: x-labels"


def templates(plurals: Iterable[str], source: str, dump: Dump) -> dict[Path, str]:
    """Templates by their path from the root of the checkout.

    Args:
        plurals: of our kinds.
        source: the line that says where they come from.
        dump: how an object is written as YAML.
    """
    kinds = sorted(plurals)
    head = f"{{{{- /* {source} */ -}}}}\n"
    own = [one for one in _operator(kinds) if one["kind"] != "ServiceAccount"]
    system = [one for one in own if one["metadata"].get("namespace") == _RELEASE]
    cluster = [one for one in own if "namespace" not in one["metadata"]]
    served = [one for one in _operator(kinds, [_SERVED]) if one["metadata"].get("namespace") == _SERVED]
    roles = "\n".join(
        [
            "{{- if .Values.rbac.create }}",
            _documents(system, dump),
            '{{- if eq .Values.rbac.scope "cluster" }}',
            _documents(cluster, dump),
            "{{- else }}",
            "{{- range .Values.rbac.namespaces }}",
            _documents(served, dump),
            "{{- end }}",
            "{{- end }}",
            "{{- end }}",
            "",
        ]
    )
    return {
        FOLDER / "rbac.yaml": head + roles,
        FOLDER / "user-roles.yaml": head + _cluster_wide("userRoles", rbac.user_roles(kinds), dump),
        FOLDER / "admission-policy.yaml": head + _cluster_wide("admissionPolicy", admission.manifests(kinds), dump),
    }


def _operator(kinds: list[str], namespaces: Iterable[str] = ()) -> list[Object]:
    return rbac.manifests(kinds, _RELEASE, list(namespaces), account=_ACCOUNT)


def _cluster_wide(value: str, objects: list[Object], dump: Dump) -> str:
    condition = f'{{{{- if and .Values.{value}.enabled (eq .Values.rbac.scope "cluster") }}}}'
    return f"{condition}\n{_documents(objects, dump)}\n{{{{- end }}}}\n"


def _documents(objects: list[Object], dump: Dump) -> str:
    return "\n".join(f"---\n{_document(one, dump)}" for one in objects)


def _document(of: Object, dump: Dump) -> str:
    """One object as a template, with the chart's labels beside its own.

    Raises:
        ValueError: it has braces that helm would take for an action.
    """
    meta = of["metadata"]
    own = {key: value for key, value in meta["labels"].items() if not key.startswith("app.kubernetes.io/")}
    text = dump({**of, "metadata": {**meta, "labels": "x-labels"}})
    if "{{" in text:
        raise ValueError(f"{of['kind']} {meta['name']} has {{{{, which helm would read as a template")
    for mark, action in _MARKS.items():
        text = re.sub(rf"(?<=: ){mark}(\S*)$", rf'"{{{{ {action} }}}}\1"', text, flags=re.MULTILINE)
    labels = ["labels:", '    {{- include "kaos.labels" $ | nindent 4 }}']
    labels += [f'    {key}: "{value}"' for key, value in own.items()]
    return text.replace(_LABELS, "\n".join(labels)).rstrip()
