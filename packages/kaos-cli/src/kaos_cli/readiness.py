"""Waiting for resources, and telling how each came out: the end of `up` and of `deploy --wait`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice

from kaos_cli.columns import at, ready
from kaos_cli.errors import CommandError, NotReadyError, TimedOutError
from kaos_cli.output import talk
from kaos_cli.target import Ref, Resource, Target

LOG_LINES = 20
"""How much of its log a resource that failed shows."""

Told = Callable[[Ref, str, float, int], None]
"""Told of a resource that is ready: its URL, the seconds it took, its number of tools."""


def await_ready(target: Target, refs: Sequence[Ref], timeout: float, told: Told | None = None) -> None:
    """Wait until each resource is ready or has failed, and tell how each came out as it does.

    Raises:
        CommandError: at least one failed. TimedOutError: none failed, and at least one was not ready in time.
    """
    began = time.monotonic()
    failed: list[Ref] = []
    late: list[Ref] = []
    for resource in target.wait(refs, timeout):
        ref = Ref(resource["kind"], resource["metadata"]["namespace"], resource["metadata"]["name"])
        if ready(resource)[0] == "True":
            tools = len(at(resource, ".status.availableTools") or [])
            (told or _tell)(ref, _url(target, ref), time.monotonic() - began, tools)
            continue
        has_failed = at(resource, ".status.phase") == "Failed"
        (failed if has_failed else late).append(ref)
        _explain(target, ref, resource, "failed" if has_failed else "not ready")
    if failed:
        raise CommandError(f"{_names(failed)} failed")
    if late:
        raise TimedOutError(f"{_names(late)} not ready within {timeout:g}s", hint="--timeout gives it longer")


def tools_text(count: int) -> str:
    """`1 tool`, `4 tools`."""
    return "1 tool" if count == 1 else f"{count} tools"


def _tell(ref: Ref, url: str, seconds: float, tools: int) -> None:
    talk(f"{ref.kind.lower()}.kaos.tools/{ref.name} ready in {seconds:.1f}s: {url} ({tools_text(tools)})")


def _url(target: Target, ref: Ref) -> str:
    try:
        return target.mcp_url(ref)
    except NotReadyError:
        return ""  # It stopped serving between the two looks; its status will say why.


def _explain(target: Target, ref: Ref, resource: Resource, what: str) -> None:
    _, reason, message = ready(resource)
    talk(f"{ref}   {what}   {reason or 'Progressing'}: {message or 'no status yet'}")
    try:
        lines = list(islice(target.logs(ref, follow=False, tail=LOG_LINES, previous=False), LOG_LINES))
    except CommandError:
        return  # It never ran, so it has no log; the reason above is all there is.
    for line in lines:
        talk(f"  | {line}")


def _names(refs: Sequence[Ref]) -> str:
    return ", ".join(str(ref) for ref in refs)
