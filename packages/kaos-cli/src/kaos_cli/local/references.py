"""References in a process's environment -> values, in the command; the supervisor only reads the result.

Looked up in this order (design, "`kaos up`"): Secret and ConfigMap documents of the same apply,
`.kaos/{secrets,configmaps}/<name>/<key>` beside the YAML file, the same in the current folder, and the environment
variable that bears the env entry's own name. A file's text counts as it is, its last newline too, as with
`kubectl create secret --from-file`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaos_cli.errors import CommandError, UsageError
from kaos_cli.local.launch import Values
from kaos_cli.target import Ref, Resource, Source
from kaos_core.errors import Problem
from kaos_core.program import Process

FOLDERS = {"Secret": "secrets", "ConfigMap": "configmaps"}
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_REFS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
_FROM = {"secretRef": "Secret", "configMapRef": "ConfigMap"}


@dataclass(frozen=True)
class Given:
    """Secret and ConfigMap documents: (kind, namespace, name) -> key -> value."""

    by_name: Mapping[tuple[str, str, str], Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Resource], namespace: str) -> Given:
        """From the documents of one apply. Raises UsageError for data that cannot be a Secret's."""
        found: dict[tuple[str, str, str], Mapping[str, str]] = {}
        for document in documents:
            kind, metadata = document["kind"], document.get("metadata") or {}
            name = str(metadata.get("name") or "")
            found[kind, str(metadata.get("namespace") or namespace), name] = _data(document, f"{kind} {name}")
        return cls(found)


def _data(document: Resource, where: str) -> dict[str, str]:
    data: dict[str, str] = {}
    for key, value in (document.get("data") or {}).items():
        if not isinstance(value, str):
            raise UsageError(f"{where}: data.{key} is not text; put it in quotes")
        data[key] = _decoded(value, f"{where}: data.{key}") if document["kind"] == "Secret" else value
    for key, value in (document.get("stringData") or {}).items():
        if not isinstance(value, str):
            raise UsageError(f"{where}: stringData.{key} is not text; put it in quotes")
        data[key] = value
    return data


def _decoded(value: str, where: str) -> str:
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise UsageError(f"{where} is not base64 of a text", hint="plain text belongs under stringData") from None


def resolve(ref: Ref, process: Process, source: Source, given: Given, environ: Mapping[str, str]) -> Values:
    """The values of every reference of a process.

    Raises:
        CommandError: some are missing; the message names each, where it was looked for and the way to a cluster's.
    """
    places = _places(source.folder)
    env: dict[str, str] = {}
    env_from: dict[str, str] = {}
    missing: list[str] = []
    files: list[str] = []
    hints: list[str] = []
    for block in process.env_from:
        for word, kind in _FROM.items():
            if not (wanted := block.get(word)):
                continue
            values = _whole(kind, ref.namespace, wanted["name"], places, given)
            if values is None and not wanted.get("optional"):
                missing.append(
                    f"{kind} {wanted['name']} (envFrom) is not in {_looked(kind, wanted['name'], '', places)}"
                )
                files.append(str(places[0] / FOLDERS[kind] / wanted["name"] / "KEY"))
                hints.append(_kubectl(kind, wanted["name"], "KEY", ref.namespace))
            for key, value in (values or {}).items():
                env_from[f"{block.get('prefix') or ''}{key}"] = value
    for entry, kind, wanted in _references(process):
        found = _one(kind, ref.namespace, wanted["name"], wanted["key"], places, given)
        if found is None:
            found = environ.get(entry["name"])
        if found is not None:
            env[entry["name"]] = found
        elif not wanted.get("optional"):
            looked = _looked(kind, wanted["name"], wanted["key"], places)
            name = entry["name"]
            lacks = f"{kind} {wanted['name']} has no key {wanted['key']} (for {name})"
            missing.append(f"{lacks}: not in {looked}, nor in the environment variable {name}")
            files.append(str(places[0] / FOLDERS[kind] / wanted["name"] / wanted["key"]))
            hints.append(_kubectl(kind, wanted["name"], wanted["key"], ref.namespace))
    if missing:
        raise CommandError(
            "\n".join(f"{ref}: {line}" for line in missing),
            hint=f"write the value into {', '.join(dict.fromkeys(files))}; "
            f"in a cluster: {'; '.join(dict.fromkeys(hints))}",
        )
    return Values(env, env_from)


def unresolved(process: Process, values: Values) -> tuple[Problem, ...]:
    """The references that have no value and need one."""
    return tuple(
        Problem(
            f"{kind}NotFound",
            f"{kind} {wanted['name']} has no key {wanted['key']} (for {entry['name']})",
            hint="apply the resource again",
        )
        for entry, kind, wanted in _references(process)
        if entry["name"] not in values.env and not wanted.get("optional")
    )


def _references(process: Process) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    for entry in process.env:
        for word, kind in _REFS.items():
            if wanted := (entry.get("valueFrom") or {}).get(word):
                yield entry, kind, wanted


def _places(folder: Path) -> list[Path]:
    return list(dict.fromkeys([folder / ".kaos", Path.cwd() / ".kaos"]))


def _one(kind: str, namespace: str, name: str, key: str, places: Sequence[Path], given: Given) -> str | None:
    documents = given.by_name.get((kind, namespace, name), {})
    if key in documents:
        return documents[key]
    if not _KEY.fullmatch(key) or not _KEY.fullmatch(name) or key in (".", "..") or name in (".", ".."):
        return None
    for place in places:
        path = place / FOLDERS[kind] / name / key
        if path.is_file():
            return _text(path)
    return None


def _whole(kind: str, namespace: str, name: str, places: Sequence[Path], given: Given) -> dict[str, str] | None:
    if (kind, namespace, name) in given.by_name:
        return dict(given.by_name[kind, namespace, name])
    if not _KEY.fullmatch(name) or name in (".", ".."):
        return None
    for place in places:
        folder = place / FOLDERS[kind] / name
        if folder.is_dir():
            return {
                path.name: _text(path)
                for path in sorted(folder.iterdir())
                if path.is_file() and not path.name.startswith(".")
            }
    return None


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text, so no environment variable can hold it") from None
    if "\0" in text:
        raise CommandError(f"{path} holds a NUL, which no environment variable can")
    return text


def _looked(kind: str, name: str, key: str, places: Sequence[Path]) -> str:
    return " or ".join(str(place / FOLDERS[kind] / name / key) for place in places)


def _kubectl(kind: str, name: str, key: str, namespace: str) -> str:
    what = "secret generic" if kind == "Secret" else "configmap"
    return f"kubectl create {what} {name} -n {namespace} --from-literal={key}=…"
