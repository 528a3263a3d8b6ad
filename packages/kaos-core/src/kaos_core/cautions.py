"""What is legal in a spec and still worth a warning: a secret in plain text, an image tag that moves (B26, B29).

Their words are no reasons of conditions: a warning is an event, a line of the command, and stops nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kaos_core.errors import Problem

if TYPE_CHECKING:
    from kaos_core.program import Program
    from kaos_core.resources.workload import WorkloadSpec

_SECRET = re.compile(
    r"(?<![A-Za-z0-9])("
    r"xox[a-z]-[A-Za-z0-9-]{10,}"  # Slack
    r"|sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic and their like
    r"|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|(AKIA|ASIA)[A-Z0-9]{16}"  # AWS
    r"|eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}"  # a JWT
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r")"
)


def cautions(spec: WorkloadSpec, program: Program) -> Iterator[Problem]:
    """The warnings about one resource; `program` is what will run. No value is ever part of one."""
    container = spec.container
    for index, entry in enumerate((container and container.env) or []):
        if entry.value is not None and _SECRET.search(entry.value):
            path = f"spec.container.env[{index}].value"
            message = f"the value of {entry.name} looks like a secret, and whoever may read the resource can read it"
            hint = "put it into a Secret and name that in valueFrom"
            yield Problem("PlaintextSecret", message, path, "warning", hint)
    if program.image and _moves(program.image):
        path = "spec.container.image" if container and container.image else ""
        message = f"the image {program.image} may be another one tomorrow"
        yield Problem("MutableTag", message, path, "warning", "give it a version as its tag, or a digest")


def _moves(image: str) -> bool:
    """No digest, and the tag is `latest`, by name or by default."""
    name, at, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return not at and (not colon or tag == "latest")
