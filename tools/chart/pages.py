"""Pages: `ChartValues` -> `values.yaml` with a comment at each value, and the table of them in the chart's README."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from chart.values import ChartValues

_WIDTH = 118


def values_yaml(source: str) -> str:
    """`values.yaml`. `source` is the line that says where it comes from."""
    lines = [
        f"# {source}",
        "# Every value with its default. Its schema is beside it: a name that is not here is refused.",
    ]
    return "\n".join([*lines, *_lines(ChartValues(), 0), ""])


def readme(source: str) -> str:
    """The chart's README: what its page on Artifact Hub shows."""
    return f"""\
<!-- {source} -->

# kaos

The KAOS operator: MCP servers, agents and model APIs on Kubernetes.

```sh
helm install kaos-crds charts/kaos-crds
helm install kaos charts/kaos --namespace kaos-system --create-namespace --wait
helm test kaos --namespace kaos-system
```

[Installation](../../docs/operator/installation.md) has the other ways, upgrades and what stays behind.

## Values

| Value | Default | Meaning |
| --- | --- | --- |
{chr(10).join(f"| `{at}` | {_cell(default)} | {text} |" for at, default, text in rows(ChartValues()))}
"""


def rows(of: BaseModel, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Path, default and meaning of each value, as they stand in `values.yaml`."""
    for alias, text, value in _fields(of):
        at = f"{path}{alias}"
        if isinstance(value, BaseModel):
            inner = list(rows(value, f"{at}."))
            if text or not inner:
                yield at, {}, " ".join(text.split())
            yield from inner
        else:
            yield at, value, " ".join(text.split())


def _cell(default: Any) -> str:
    return "" if default in ("", {}, []) else f"`{json.dumps(default)}`"


def _fields(of: BaseModel) -> Iterator[tuple[str, str, Any]]:
    """Those that have a value of their own; the settings under `tuning` have the operator's."""
    for name, field in type(of).model_fields.items():
        if (value := getattr(of, name)) is not None:
            yield field.alias or name, field.description or "", value


def _lines(of: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for alias, text, value in _fields(of):
        nested = isinstance(value, BaseModel)
        if depth == 0:
            yield ""
        text = text or (_summary(value) if nested else "")
        for line in textwrap.wrap(" ".join(text.split()), _WIDTH - len(indent), break_on_hyphens=False):
            yield f"{indent}# {line}"
        if nested:
            lines = list(_lines(value, depth + 1))
            yield f"{indent}{alias}:{'' if lines else ' {}'}"
            yield from lines
        else:
            dumped = yaml.safe_dump({alias: value}, sort_keys=False, width=1000)
            yield from textwrap.indent(dumped, indent).splitlines()


def _summary(of: BaseModel) -> str:
    return (type(of).__doc__ or "").split("\n\n")[0]
