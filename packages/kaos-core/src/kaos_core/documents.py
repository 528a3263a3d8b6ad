"""YAML text -> plain data, safely. The first step of the flow, and the only YAML parser in KAOS.

Numbers, booleans and null are read as Kubernetes reads them; dates stay text. Refused: duplicate keys, keys that are
not text, every tag, alias bombs, deep nesting and large documents.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from kaos_core.errors import DocumentError, UnsafeDocumentError

MAX_CHARACTERS = 1 << 20
"""As large as an object in a cluster can be, and more than any YAML for people."""
MAX_DEPTH = 64
MAX_NODES = 100_000
"""Counted with every alias expanded, as a serialiser would: a "billion laughs" text has 10^9."""

Path = tuple[str | int, ...]

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


class _Loader(_Base):  # type: ignore[misc]  # the C loader has no type of its own
    """PyYAML's safe loader, less what Kubernetes does not read either."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in {_TAG + kind for kind in ("timestamp", "int", "float", "value")}
    ]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
# YAML 1.1 also reads 1:30 as 90 and 1_000 as 1000; nobody who writes them means that.
_Loader.add_implicit_resolver(
    _TAG + "int", re.compile(r"^[-+]?(0o?[0-7]+|0x[0-9a-fA-F]+|0b[01]+|0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"^([-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Document:
    """One document: `value` is plain data, `lines` says on which line (from 1) a path's key or item stands.

    `blocks` says on which line the text of a block (`params: |`) begins.
    """

    value: Any
    line: int = 1
    lines: dict[Path, int] = field(default_factory=dict)
    blocks: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path, within: int = 0) -> int:
        """The line of `path`, or of the nearest parent that stands in the text.

        With `within` the line of that line (from 1) of its text, where that is a block.
        """
        if within and path in self.blocks:
            return self.blocks[path] + within - 1
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


def load_all(text: str) -> list[Document]:
    """Every document of a YAML text; empty documents are left out.

    Raises:
        DocumentError: it is not YAML. UnsafeDocumentError: it is, and is refused.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnsafeDocumentError(f"the text has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
    documents = []
    loader = None
    text = text.removeprefix("\ufeff")
    try:
        _refuse_deep(text)
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            _refuse_unsafe(node)
            document = Document(None, node.start_mark.line + 1)
            value = _construct(loader, node, (), document)
            if value is not None:
                documents.append(replace(document, value=value))
    except yaml.YAMLError as error:
        raise _syntax_error(error) from None
    except (ValueError, UnicodeError) as error:
        raise DocumentError(f"not YAML: {error}") from None
    except RecursionError:
        raise UnsafeDocumentError(f"nested deeper than {MAX_DEPTH} levels") from None
    finally:
        if loader is not None:
            loader.dispose()
    return documents


def load_one(text: str) -> Any:
    """The one document of a YAML text, None when it is empty.

    Raises:
        DocumentError: it is not YAML, or there is more than one. UnsafeDocumentError: it is, and is refused.
    """
    document = load_one_document(text)
    return document.value if document else None


def load_one_document(text: str) -> Document | None:
    """The same with its lines."""
    documents = load_all(text)
    if len(documents) > 1:
        raise DocumentError(f"{len(documents)} documents where one belongs", line=documents[1].line)
    return documents[0] if documents else None


def _syntax_error(error: yaml.YAMLError) -> DocumentError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 0
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    return DocumentError(f"line {line}: {problem}" if line else str(problem), line=line)


def _refuse_deep(text: str) -> None:
    """Count the levels before any node is made: the C composer recurses, and many brackets would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise UnsafeDocumentError(f"line {line}: nested deeper than {MAX_DEPTH} levels", line=line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse_unsafe(root: yaml.Node) -> None:
    """Walk the graph once: tags, depth, and the size it would have with its aliases expanded."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        line = node.start_mark.line + 1
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise UnsafeDocumentError(f"line {line}: an alias contains itself", line=line)
        if depth > MAX_DEPTH:
            raise UnsafeDocumentError(f"line {line}: nested deeper than {MAX_DEPTH} levels", line=line)
        if node.tag not in _PLAIN_TAGS:
            raise UnsafeDocumentError(
                f"line {line}: the tag {_short(node.tag)} is not allowed", line=line, hint="write plain YAML"
            )
        open_nodes.add(id(node))
        total = 1 + sum(size(child, depth + 1) for child in _children(node))
        open_nodes.discard(id(node))
        if total > MAX_NODES:
            raise UnsafeDocumentError(
                f"line {line}: more than {MAX_NODES:,} values with its aliases expanded", line=line
            )
        sizes[id(node)] = total
        return total

    size(root, 0)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _construct(loader: Any, node: yaml.Node, path: Path, places: Document) -> Any:
    places.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*path, index), places) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        if isinstance(node, yaml.ScalarNode) and node.style == "|":
            places.blocks[path] = node.start_mark.line + 2
        return loader.construct_object(node, deep=True)
    mapping: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _TAG + "merge":
            parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for part in parts:
                inherited = _construct(loader, part, path, Document(None))
                if not isinstance(inherited, dict):
                    raise DocumentError(f"line {line}: << takes a mapping", line=line)
                merged = {**inherited, **merged}
            continue
        key = loader.construct_object(key_node, deep=True) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            shown = key if isinstance(key, Hashable) and key is not None else "a key"
            raise UnsafeDocumentError(f"line {line}: {shown} is not text; put it in quotes", line=line)
        if key in mapping:
            raise UnsafeDocumentError(f"line {line}: the key {_short(key)} stands twice", line=line)
        places.lines[(*path, key)] = line
        mapping[key] = _construct(loader, value_node, (*path, key), places)
    return {**merged, **mapping}


def _short(text: str) -> str:
    text = text.replace(_TAG, "!!")
    return repr(text if len(text) <= 60 else text[:57] + "...")
