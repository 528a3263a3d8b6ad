"""The base of every resource, and `parse`: a document -> a model, or everything that is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from kaos_core.errors import Problem, ResourceError
from kaos_core.resources import patterns

Name = Annotated[str, Field(max_length=253, pattern=patterns.NAME)]
"""A Kubernetes object name (RFC 1123 subdomain)."""


class Model(BaseModel):
    """Field names are camelCase, unknown ones are refused, and nothing is converted silently."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
    )


def cel(*rules: tuple[str, ...]) -> dict[str, Any]:
    """What the API server checks beside the types: `(rule, message)` or `(rule, message, field)`, as a schema's extra.

    Each says in CEL what a validator of the model says in Python, with the same words where it can.
    """
    keys = ("rule", "message", "fieldPath")
    return {"x-kubernetes-validations": [dict(zip(keys, rule, strict=False)) for rule in rules]}


class Metadata(BaseModel):
    """The part of ObjectMeta that KAOS reads; what the API server adds is passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", strict=True)

    name: Name
    namespace: Annotated[str, Field(max_length=63, pattern=patterns.NAMESPACE)] = "default"
    uid: str = ""
    generation: int = 1
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Model):
    """One object of a KAOS kind.

    `removed` maps the path of a field of older documents to what replaces it; a document that still has it is told so.
    `hints` maps the path of a field to what to do when its value is refused.
    """

    removed: ClassVar[Mapping[str, str]] = {}
    hints: ClassVar[Mapping[str, str]] = {}

    api_version: str
    kind: str
    metadata: Metadata
    status: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The resource as YAML would have it: only what was given."""
        return self.model_dump(by_alias=True, exclude_unset=True)


R = TypeVar("R", bound=Resource)


def parse(model: type[R], document: Mapping[str, Any]) -> R:
    """A document as a model.

    Raises:
        ResourceError: it is not valid; `problems` has an entry per field, with what replaces a removed one.
    """
    try:
        return model.model_validate(dict(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        problems = tuple(_problem(model, document, detail) for detail in details)
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    subject = f"{model.__name__} {name}" if isinstance(name, str) else model.__name__
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ResourceError(f"{subject}: {first}{more}", problems=problems, hint=first.hint)


def path_text(path: tuple[str | int, ...]) -> str:
    """`("spec", "env", 0, "name")` -> `spec.env[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _problem(model: type[Resource], document: Mapping[str, Any], detail: Any) -> Problem:
    path = tuple(part for part in detail["loc"] if not (isinstance(part, str) and part.startswith("function-")))
    text = path_text(path)
    kind = detail["type"]
    if kind == "extra_forbidden":
        replacement = _replacement(model.removed, document, path)
        if replacement:
            return Problem("InvalidResource", *replacement)
        known = _siblings(model, path)
        close = difflib.get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known fields: {', '.join(sorted(known))}" if known else ""
        return Problem("InvalidResource", "unknown field", text, hint=hint)
    message = _message(detail)
    reason = "InvalidResources" if path[:3] == ("spec", "container", "resources") else "InvalidResource"
    return Problem(reason, message, text, hint=model.hints.get(text, ""))


def _message(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    given = detail.get("input")
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind == "string_pattern_mismatch":
        form = patterns.WORDS.get(context["pattern"], f"text like {context['pattern']}")
        return f"{_shown(given)} is not {form}"
    if kind == "literal_error":
        return f"{_shown(given)} is not one of {context['expected']}"
    if kind == "string_too_long":
        return f"has {len(given):,} characters; the limit is {context['max_length']:,}"
    message = str(detail["msg"])
    return f"{message[0].lower()}{message[1:]}, found {_shown(given)}"


def _shown(value: Any) -> str:
    """A value in an error: short, and never a long secret."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _replacement(
    removed: Mapping[str, str], document: Mapping[str, Any], path: tuple[str | int, ...]
) -> tuple[str, str] | None:
    """What replaces a removed field: the deepest one the document really has, so that the advice is exact."""
    at = path_text(path)
    here: list[str] = []
    for candidate in removed:
        inside = candidate == at or candidate.startswith(at + ".")
        if inside and _has(document, candidate.split(".")):
            here.append(candidate)
    if not here:
        return None
    best = max(here, key=len)
    return f"was removed: {removed[best]}", best


def _has(value: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


def _siblings(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The names that are known where the last part of `path` stands."""
    current: Any = model
    for part in path[:-1]:
        if isinstance(part, int):
            continue
        field = next((f for name, f in current.model_fields.items() if (f.alias or name) == part), None)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        current = inner
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found:
            return found
    return None
