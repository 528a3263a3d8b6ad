"""`kaos ps`: everything that is served on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kaos_cli.columns import at, ready
from kaos_cli.errors import NotFoundError, NotReadyError
from kaos_cli.options import Output
from kaos_cli.output import age, emit, name_of, show, table, talk, warn
from kaos_cli.target import Ref, Resource
from kaos_cli.targets import DEFAULT_NAMESPACE, machine

if TYPE_CHECKING:
    from kaos_cli.local.target import LocalTarget

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: kaos ps -o json")
def ps(output: Output = "table") -> None:
    """Show what is served on this machine."""
    target = machine()
    found = target.list(None, None)
    if output in ("json", "yaml"):
        show(found, output)
    elif not found:
        talk("Nothing is served on this machine.")
    elif output == "name":
        emit("\n".join(name_of(resource) for resource in found))
    else:
        emit(_table(target, found, wide=output == "wide"))
        problem = target.gateway_problem()
        if problem:
            warn(problem)


def ref_of(resource: Resource) -> Ref:
    """What a resource is called."""
    return Ref(resource["kind"], resource["metadata"]["namespace"], resource["metadata"]["name"])


def _table(target: LocalTarget, found: list[Resource], *, wide: bool) -> str:
    # Two of one name in two namespaces must be told apart; with one namespace it would be noise.
    spaces = wide or any(ref_of(resource).namespace != DEFAULT_NAMESPACE for resource in found)
    header = [
        "KIND",
        *(["NAMESPACE"] if spaces else []),
        "NAME",
        "RUNTIME",
        "READY",
        "REASON",
        "URL",
        "AGE",
        *(["MESSAGE"] if wide else []),
    ]
    rows = []
    for resource in found:
        ref = ref_of(resource)
        state, reason, message = ready(resource)
        rows.append(
            [
                ref.kind,
                *([ref.namespace] if spaces else []),
                ref.name,
                at(resource, ".spec.runtime") or "-",
                state,
                reason or "-",
                _url(target, ref, resource),
                age(resource["metadata"].get("creationTimestamp", "")),
                *([message] if wide else []),
            ]
        )
    return table(header, rows)


def _url(target: LocalTarget, ref: Ref, resource: Resource) -> str:
    try:
        return target.mcp_url(ref)
    except (NotReadyError, NotFoundError):
        return at(resource, ".status.endpoint") or "-"
