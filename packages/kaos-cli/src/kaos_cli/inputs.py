"""`-f FILE|DIR|-`: from what the user named to checked documents, before anything is done with any of them (B48)."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kaos_cli.errors import UsageError
from kaos_cli.names import namespace_name, resource_name, shown
from kaos_cli.target import Ref, Resource, Source
from kaos_core.documents import Document, load_all
from kaos_core.errors import DocumentError

MAX_BYTES = 1 << 20
"""As large as an object in a cluster can be; no more than this is read of anything."""

GROUP = "kaos.tools"
_COMPANIONS = {("v1", "Secret"), ("v1", "ConfigMap")}


@dataclass(frozen=True)
class Given:
    """One document as the user gave it, and the lines it came from."""

    source: Source
    document: Document
    file: str

    @property
    def ref(self) -> Ref:
        """What it is, by kind, namespace and name."""
        value = self.source.document
        return Ref(value["kind"], value["metadata"]["namespace"], value["metadata"]["name"])

    @property
    def is_ours(self) -> bool:
        """Whether it is one of our kinds; else it is a Secret or ConfigMap beside one."""
        return (self.source.document["apiVersion"], self.source.document["kind"]) not in _COMPANIONS

    def place(self, path: tuple[str | int, ...] = (), within: int = 0) -> str:
        """Where a field stands, or a line within its text: `calc.yaml:12`."""
        return f"{self.file}:{self.document.line_of(path, within)}"


@dataclass(frozen=True)
class Welcome:
    """What may stand in a file here.

    Attributes:
        kinds: our kinds; Secrets and ConfigMaps beside them always may.
        namespace: for documents that name none.
        override: it is for the others too.
    """

    kinds: tuple[str, ...]
    namespace: str
    override: bool = False


def read(named: Sequence[str], welcome: Welcome) -> list[Given]:
    """Every document of the named files, folders (their *.yaml and *.yml, by name) and stdin (`-`), in the order given.

    Raises:
        UsageError: something cannot be read, is no YAML, or does not belong here; the message names file and line.
    """
    given: list[Given] = []
    for file in _files(named):
        text = _read_stdin() if file == "-" else _read_file(file)
        label = "stdin" if file == "-" else file
        folder = Path.cwd() if file == "-" else Path(file).resolve().parent
        found = _parse(text, label)
        if not found:
            raise UsageError(f"{label}: no documents")
        for number, document in enumerate(found, 1):
            _refuse_strangers(document, number, label, welcome)
            value = _named(document, number, label, welcome)
            source = Source(value, folder, f"{label}:{document.line}")
            given.append(Given(source, replace(document, value=value), label))
    _refuse_twins(given)
    if not any(item.is_ours for item in given):
        place = given[0].place()
        raise UsageError(
            f"{place}: only Secrets and ConfigMaps; nothing to run", hint=f"add {' or '.join(welcome.kinds)}"
        )
    return given


def read_text(text: str) -> str:
    """A value that may be `@file` or `-` for stdin; anything else stands for itself. Raises UsageError."""
    if text == "-":
        return _read_stdin()
    return _read_file(text[1:]) if text.startswith("@") else text


def _files(named: Sequence[str]) -> list[str]:
    files: list[str] = []
    for name in named:
        if name != "-" and _stat(name) is not None and Path(name).is_dir():
            inside = sorted(
                str(path)
                for path in Path(name).iterdir()
                if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
            )
            if not inside:
                raise UsageError(f"{name}: no *.yaml or *.yml in this folder")
            files += inside
        else:
            files.append(name)
    if files.count("-") > 1:
        raise UsageError("stdin (-) can be read only once")
    return files


def _stat(name: str) -> os.stat_result:
    if not name or "\0" in name:
        raise UsageError(f"{shown(name)} is no file name")
    try:
        return Path(name).stat()
    except OSError as error:
        raise UsageError(f"{name}: {_reason(error)}") from None


def _read_file(name: str) -> str:
    _stat(name)
    try:
        # Not blocking, and checked once it is open: a pipe without a writer would hang the command.
        handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode):
                raise UsageError(f"{name}: a folder where a file belongs")
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{name}: not a regular file", hint="give it on stdin: … -f - < FILE")
            return _text(file.read(MAX_BYTES + 1), name)
    except OSError as error:
        raise UsageError(f"{name}: {_reason(error)}") from None


def _read_stdin() -> str:
    return _text(sys.stdin.buffer.read(MAX_BYTES + 1), "stdin")


def _text(content: bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise UsageError(f"{name}: larger than {MAX_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}:{line}: not UTF-8 text") from None
    if "\0" in text:
        raise UsageError(f"{name}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: binary, not text")
    return text


def _parse(text: str, name: str) -> list[Document]:
    try:
        return load_all(text)
    except DocumentError as error:
        message = error.message.removeprefix(f"line {error.line}: ")
        raise UsageError(
            f"{name}:{error.line}: {message}" if error.line else f"{name}: {message}", hint=error.hint
        ) from None


def _refuse_strangers(document: Document, number: int, file: str, welcome: Welcome) -> None:
    """Raise UsageError for what is no resource, or none that has a place here."""
    value, place = document.value, f"{file}:{document.line}"
    example = f"for example apiVersion: {GROUP}/v1alpha1, kind: {welcome.kinds[0]}"
    if not isinstance(value, dict):
        raise UsageError(f"{place}: document {number} is a {_type(value)}, not a resource", hint=example)
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str):
            raise UsageError(f"{place}: document {number} has no {key}", hint=example)
    version, kind = value["apiVersion"], value["kind"]
    ours = version.partition("/")[0] == GROUP and kind in welcome.kinds
    if not ours and (version, kind) not in _COMPANIONS:
        place = f"{file}:{document.line_of(('kind',))}"
        ours_here = ", ".join(f"{item} ({GROUP}/v1alpha1)" for item in welcome.kinds)
        raise UsageError(
            f"{place}: document {number} is a {kind} ({version}), which has no place here",
            hint=f"what has: {ours_here}; Secret and ConfigMap (v1) beside them",
        )


def _named(document: Document, number: int, file: str, welcome: Welcome) -> Resource:
    """The resource with its namespace. Raises UsageError for a name or namespace that cannot be one."""
    value = document.value
    metadata = value.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UsageError(f"{file}:{document.line}: document {number} ({value['kind']}) has no metadata.name")
    namespace = metadata.get("namespace")
    if namespace is None or welcome.override:
        namespace = welcome.namespace
    identity = {"name": metadata["name"], "namespace": str(namespace)}
    for field, check in (("name", resource_name), ("namespace", namespace_name)):
        try:
            check(identity[field])
        except UsageError as error:
            place = f"{file}:{document.line_of(('metadata', field))}"
            raise UsageError(f"{place}: {error.message}", hint=error.hint) from None
    return {**value, "metadata": {**identity, **{k: v for k, v in metadata.items() if k not in identity}}}


def _refuse_twins(given: Sequence[Given]) -> None:
    places: dict[Ref, str] = {}
    for item in given:
        if item.ref in places:
            first = places[item.ref]
            raise UsageError(f"{item.place()}: {item.ref} in {item.ref.namespace} stands twice, first at {first}")
        places[item.ref] = item.place()


def _type(value: Any) -> str:
    return {list: "list", str: "text", bool: "boolean", int: "number", float: "number"}.get(
        type(value), type(value).__name__
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
