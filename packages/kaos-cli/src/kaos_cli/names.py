"""Names a user types: checked before anything is done, so that none is taken for an option or a path (B46)."""

from __future__ import annotations

import re

from kaos_cli.errors import UsageError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def resource_name(text: str, what: str = "name") -> str:
    """A DNS-1123 subdomain of at most 253 characters, as Kubernetes wants every name. Raises UsageError."""
    if len(text) <= 253 and _SUBDOMAIN.fullmatch(text):
        return text
    raise UsageError(
        f"{shown(text)} is no {what}",
        hint="lower-case letters, digits, '-' and '.', a letter or digit at both ends, at most 253 characters",
    )


def namespace_name(text: str) -> str:
    """A DNS-1123 label of at most 63 characters. Raises UsageError."""
    if len(text) <= 63 and re.fullmatch(_LABEL, text):
        return text
    raise UsageError(
        f"{shown(text)} is no namespace",
        hint="lower-case letters, digits and '-', a letter or digit at both ends, at most 63 characters",
    )


def env_entry(text: str) -> dict[str, str]:
    """`A=b=c` as `{"name": "A", "value": "b=c"}`; the value stays exactly as it is (B49). Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--env {shown(text)} is not NAME=VALUE")
    if not _ENV.fullmatch(name):
        raise UsageError(f"--env: {shown(name)} is no name of an environment variable")
    return {"name": name, "value": value}


def shown(text: str) -> str:
    """A text as a message shows it: quoted, and never long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
