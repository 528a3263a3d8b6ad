"""`kaos down`: stop what is served on this machine, all of it or what is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaos_cli.commands.ps import ref_of
from kaos_cli.completion import served
from kaos_cli.errors import NotFoundError, UsageError
from kaos_cli.inputs import Welcome, read
from kaos_cli.names import resource_name
from kaos_cli.options import Files, Namespace
from kaos_cli.output import emit
from kaos_cli.target import Ref
from kaos_cli.targets import machine, namespace_of

if TYPE_CHECKING:
    from kaos_cli.local.target import LocalTarget

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: kaos down calculator")
def down(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|DIR|NAME]...",
            help="What to stop; everything when nothing is named.",
            show_default=False,
            autocompletion=served,
        ),
    ] = None,
    file: Files = None,
    namespace: Namespace = None,
) -> None:
    """Stop what is served on this machine."""
    target = machine()
    if not named and not file and namespace is None:
        _tell(target.down_everything())
        return
    space = namespace_of(target, namespace)
    if named or file:
        refs = _refs(target, named or [], file or [], space, override=namespace is not None)
    else:
        refs = [ref_of(resource) for resource in target.list(None, space)]
    for ref in refs:
        target.delete(ref)
    _tell(refs)


def _tell(stopped: Sequence[Ref]) -> None:
    emit("\n".join([*(f"{ref}   stopped" for ref in stopped), f"stopped {len(stopped)}"]))


def _refs(
    target: LocalTarget, named: Sequence[str], files: Sequence[str], namespace: str, *, override: bool
) -> list[Ref]:
    """What the words mean; all of it is known before anything is stopped."""
    paths = [*files, *(word for word in named if _is_path(word))]
    given = [item.ref for item in read(paths, Welcome(_kinds(), namespace, override)) if item.is_ours] if paths else []
    running = {ref_of(resource) for resource in target.list(None, None)}
    refs = [*given, *(_named(running, word, namespace) for word in named if not _is_path(word))]
    for ref in refs:
        if ref not in running:
            raise NotFoundError(f"{ref} is not served in namespace {ref.namespace}", hint=_what_is(running))
    return list(dict.fromkeys(refs))


def _is_path(word: str) -> bool:
    return word == "-" or word.endswith((".yaml", ".yml")) or word.startswith((".", "/")) or Path(word).is_dir()


def _kinds() -> tuple[str, ...]:
    from kaos_core.plugins import Plugins

    return tuple(Plugins.installed().kinds())


def _named(running: set[Ref], word: str, namespace: str) -> Ref:
    """`calc` or `mcpserver/calc` among what runs."""
    prefix, slash, name = word.rpartition("/")
    resource_name(name)
    kinds = _kinds()
    if slash and prefix.lower() not in map(str.lower, kinds):
        raise UsageError(f"{prefix!r} is no kind", hint=f"{', '.join(map(str.lower, kinds))}, as in mcpserver/{name}")
    same = sorted(ref for ref in running if (ref.namespace, ref.name) == (namespace, name))
    found = [ref for ref in same if not slash or ref.kind.lower() == prefix.lower()]
    if len(found) > 1:
        raise UsageError(f"{name} is {' and '.join(map(str, found))}", hint=f"kaos down {found[0]}")
    if not found:
        raise NotFoundError(f"{word} is not served in namespace {namespace}", hint=_what_is(running))
    return found[0]


def _what_is(running: set[Ref]) -> str:
    names = ", ".join(f"{ref} (namespace {ref.namespace})" for ref in sorted(running))
    return f"served: {names}" if names else "nothing is served on this machine"
