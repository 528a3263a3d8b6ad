"""`kaos up`: serve YAML files on this machine until Ctrl-C, or in the background with `-d` (design, "`kaos up`")."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, NoReturn
from urllib.parse import urlsplit

import typer

from kaos_cli.checks import Checker, remark
from kaos_cli.errors import CommandError, NotFoundError, UsageError
from kaos_cli.inputs import Welcome, read
from kaos_cli.options import ONE_MINUTE, Files, Namespace, Timeout
from kaos_cli.output import emit, plain, talk, warn
from kaos_cli.readiness import await_ready, tools_text
from kaos_cli.target import Ref
from kaos_cli.targets import machine, namespace_of

if TYPE_CHECKING:
    from kaos_cli.local.target import LocalTarget

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_WORDS = {"created": "started", "configured": "updated", "unchanged": "running"}


@app.command(epilog="Example: kaos up calculator.yaml")
def up(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|DIR|-]...", help="YAML files, folders of them, or - for stdin.", show_default=False
        ),
    ] = None,
    file: Files = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready.")] = False,
    timeout: Timeout = ONE_MINUTE,
    namespace: Namespace = None,
) -> None:
    """Serve YAML files on this machine.

    Without -d it goes on with the logs; Ctrl-C stops what this command has started, not what ran before.
    """
    named = [*(paths or []), *(file or [])]
    if not named:
        raise UsageError("nothing to serve", hint="kaos up FILE, or a folder of YAML files")
    target = machine()
    checker = Checker.installed()
    given = read(named, Welcome(checker.kinds, namespace_of(target, namespace), override=namespace is not None))
    checker.check(given)
    remark(target, given)
    with _stoppable():
        changes = dict(target.apply([item.source for item in given]))
        # What ran before this command, changed by it or not, is not its to remove.
        created = [ref for ref, outcome in changes.items() if outcome == "created"]
        try:
            _wait(target, changes, timeout)
            if not detach:
                _follow(target, changes)
        except KeyboardInterrupt:
            # From here on a second one must not leave half of it running.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _remove(target, created)
            raise
        except BaseException:
            if not detach:
                _remove(target, created)
            raise


def _wait(target: LocalTarget, changes: Mapping[Ref, str], timeout: float) -> None:
    width = max(len(str(ref)) for ref in changes)

    def tell(ref: Ref, url: str, seconds: float, tools: int) -> None:
        lead = f"{ref!s:{width}}   "
        ready = f"(ready in {seconds:.1f}s, {tools_text(tools)})"
        emit(f"{lead}{_WORDS[changes[ref]]}   {url}   {ready}", at_once=True)
        gateway = target.gateway_url(ref)
        if gateway:
            emit(f"{lead}gateway   {gateway}{urlsplit(url).path}", at_once=True)

    await_ready(target, list(changes), timeout, tell)
    problem = target.gateway_problem()
    if problem:
        warn(problem)


def _follow(target: LocalTarget, changes: Mapping[Ref, str]) -> None:
    """Print the logs until every resource is gone: of what this command started from the start of the run on."""
    refs = list(changes)
    started = list(changes.values()).count("created")
    talk(
        "Ctrl-C ends the logs"
        if not started
        else "Ctrl-C stops it"
        if len(refs) == 1
        else "Ctrl-C stops them"
        if started == len(refs)
        else f"Ctrl-C stops the {started} that this command started"
    )
    lines: SimpleQueue[str | None] = SimpleQueue()

    def pump(ref: Ref) -> None:
        try:
            new = changes[ref] != "unchanged"
            follow = target.follow_run(ref) if new else target.logs(ref, follow=True, tail=0, previous=False)
            for line in follow:
                lines.put(f"{ref.name} | {line}" if len(refs) > 1 else line)
        except CommandError as error:
            lines.put(f"{ref.name} | {error}")
        finally:
            lines.put(None)

    for ref in refs:
        threading.Thread(target=pump, args=(ref,), daemon=True).start()
    open_logs = len(refs)
    while open_logs:
        line = lines.get()
        if line is None:
            open_logs -= 1
        else:
            emit(plain(line), at_once=True)


def _remove(target: LocalTarget, refs: Sequence[Ref]) -> None:
    for ref in refs:
        # Another command may have been quicker.
        with contextlib.suppress(NotFoundError):
            target.delete(ref)
            talk(f"{ref}   stopped")


class _KilledError(KeyboardInterrupt):
    """A Ctrl-C by another name."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """A closed terminal and a plain `kill` are a Ctrl-C too, but for the exit code: nothing is left behind."""

    def stop(number: int, _: object) -> NoReturn:
        raise _KilledError(number)

    # Who has them ignored, as nohup does, means it.
    wanted = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    except _KilledError as killed:
        raise typer.Exit(128 + killed.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
