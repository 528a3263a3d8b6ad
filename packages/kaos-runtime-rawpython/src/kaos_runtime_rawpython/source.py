"""`params` text -> Python code. The hooks call it at plan time and the server calls it again when it starts.

It compiles and never runs what it is given.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import Literal

from kaos_core.documents import Document, load_one_document
from kaos_core.errors import DocumentError, UnsafeDocumentError

FILENAME = "<kaos_tools>"
"""What tracebacks call the code."""
MAX_MESSAGE = 200
"""Characters of an error's message: it goes into a status condition."""
ACCEPTED = "write Python code with at least one function, or YAML with the one key `code: |` and the code under it"

_MEANT_AS_YAML = re.compile(r"(?:\s*#[^\n]*\n|\s*\n)*(?:---|code\s*:)")
_NAME = re.compile(r"[\w.-]{1,40}")
_MEANT_AS_PYTHON = re.compile(r"^(?:async def|def|class|import|from)\s", re.MULTILINE)


class SourceError(Exception):
    """Text that holds no usable code.

    Attributes:
        reason: `InvalidParams` (not the accepted form) or `InvalidCode` (Python that does not compile).
        message: one line of at most 200 characters; the code itself is not repeated in it.
        line: of the params where that is; the message counts the lines of the code. 0 when unknown.
    """

    def __init__(self, reason: Literal["InvalidParams", "InvalidCode"], message: str, line: int = 0) -> None:
        self.line = line
        self.reason: Literal["InvalidParams", "InvalidCode"] = reason
        self.message = one_line(message)
        super().__init__(f"{reason}: {self.message}")


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """The text without line breaks and control characters, at most `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


@lru_cache(maxsize=2)  # both hooks ask it of the same text, one after the other
def tools_source(text: str) -> str:
    r"""The Python code in a `params` text: bare code, or a YAML mapping with the string key `code`.

    The order decides, since `def f():\n    return 1` is a valid YAML mapping too (design, section Details, params).

    A byte order mark and carriage returns are normalised. Half a surrogate pair is refused: it has no UTF-8, so it
    could be neither written to a file nor sent to the API server, it comes from bytes that never were UTF-8 (in an
    environment variable or a file), and any character in its place would silently change a string of the code.

    Raises:
        SourceError: reason `InvalidParams` or `InvalidCode`.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise SourceError("InvalidParams", "params hold a NUL character; remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SourceError("InvalidParams", "params hold half a surrogate pair; save the text as UTF-8")

    place: Document | None = None
    yaml_error: DocumentError | None = None
    try:
        place = load_one_document(text)
    except DocumentError as error:
        yaml_error = error
    document: object = place.value if place else None

    if isinstance(document, dict) and isinstance(document.get("code"), str):
        others = sorted(str(key) for key in document if key != "code")
        if others:
            raise SourceError("InvalidParams", f"unknown key {_names(others[:1])} beside `code`; {ACCEPTED}")
        try:
            return _compiled(document["code"])[0]
        except SourceError as error:
            line = place.line_of(("code",), within=error.line) if place else 0
            raise SourceError(error.reason, error.message, line) from None

    refused = isinstance(yaml_error, UnsafeDocumentError)
    try:
        code, defines = _compiled(text)
    except SourceError:
        if yaml_error is not None and (refused or _MEANT_AS_YAML.match(text)):
            raise SourceError("InvalidParams", f"params: {yaml_error}") from None
        # `def f():\n    return 1 +` is a YAML mapping as well; its author wants the SyntaxError.
        if yaml_error is not None or isinstance(document, str) or _MEANT_AS_PYTHON.search(text):
            raise
        raise SourceError("InvalidParams", f"params are {_found(document)}; {ACCEPTED}") from None
    if defines or isinstance(document, str) or (yaml_error is not None and not refused):
        return code
    raise SourceError(
        "InvalidParams", f"params: {yaml_error}" if refused else f"params are {_found(document)}; {ACCEPTED}"
    )


def _compiled(code: str) -> tuple[str, bool]:
    """The code, and whether its top level defines a function or a class."""
    try:
        with warnings.catch_warnings():
            # "\d" in a plain string is a warning for its author, not for whoever plans it.
            warnings.simplefilter("ignore")
            tree = ast.parse(code, FILENAME)
            compile(tree, FILENAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        raise SourceError("InvalidCode", f"line {line}: {error.msg}", line) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise SourceError("InvalidCode", f"line 1: {str(error) or type(error).__name__}", 1) from None
    return code, any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body)


def _found(document: object) -> str:
    match document:
        case None:
            return "empty (null)"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict() if "code" in document:
            return f"a mapping whose `code` is {_found(document['code'])}"
        case dict():
            return f"a mapping with the key {_names(sorted(map(str, document))[:3])}"
        case _:
            return f"a {type(document).__name__}"


def _names(keys: list[str]) -> str:
    """Only what looks like a name: the rest may be code, and code may hold secrets."""
    return ", ".join(repr(key) if _NAME.fullmatch(key) else "that is no name" for key in keys)
