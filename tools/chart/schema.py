"""Schema: `ChartValues` -> `values.schema.json`, in a form that every helm reads.

helm 3 checks with JSON schema draft 7, where nothing may stand beside a `$ref`; so each definition stands where it is
used.
"""

from __future__ import annotations

import json
from typing import Any

from chart.values import ChartValues

_DROPPED = ("title", "default")


def values_schema() -> dict[str, Any]:
    """The schema of the chart's values."""
    made = ChartValues.model_json_schema()
    definitions = made.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(made, definitions)
    # Whatever the values leave out has a default in values.yaml, also when a chart around this one asks for parts.
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart kaos", **inlined}


def text() -> str:
    """`values.schema.json`."""
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"


def _inlined(node: Any, definitions: dict[str, Any], *, names: bool = False) -> Any:
    """The node with its references replaced. `names`: its keys are names of values, not words of JSON schema."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and not names:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return {
        key: _inlined(value, definitions, names=key == "properties")
        for key, value in node.items()
        if names or key not in (*_DROPPED, "required")
    }
