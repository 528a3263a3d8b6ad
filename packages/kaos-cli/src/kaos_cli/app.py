"""The root of the command tree: the commands there are, and `run`, which ends a command with its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pkgutil import iter_modules
from typing import Annotated

import typer
from typer.main import get_command

from kaos_cli import commands
from kaos_cli.lazy import LazyGroup
from kaos_cli.offer import Offer, refuse_problems
from kaos_cli.output import emit
from kaos_cli.report import report
from kaos_core.commands import Command


def builtin() -> tuple[Command, ...]:
    """The commands of our own: one per module in `kaos_cli.commands`, none of them imported."""
    names = sorted(module.name for module in iter_modules(commands.__path__))
    return tuple(Command(name, "", f"{commands.__name__}.{name}:app") for name in names)


def _strict(context: typer.Context, value: bool) -> bool:
    """Tell the group before `--help`, which comes next, lists its commands."""
    group = context.command
    if isinstance(group, LazyGroup):
        group.strict = group.strict or value
    return value


def _version(context: typer.Context, value: bool) -> bool:
    if value and not context.resilient_parsing:
        from kaos_cli.commands.version import cli_version

        emit(f"kaos {cli_version()}")
        raise typer.Exit
    return value


Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        is_eager=True,
        callback=_strict,
        help="Fail when a plugin is broken or clashes (also KAOS_STRICT_PLUGINS=1).",
    ),
]
Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
]


def root(offer: Offer | None = None) -> LazyGroup:
    """The group `kaos`. `offer` is what plugins add; without one it is loaded when it is needed."""
    app = typer.Typer(
        cls=LazyGroup,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Example: kaos up calculator.yaml",
    )

    @app.callback()
    def kaos(
        context: typer.Context,
        strict: Strict = False,  # noqa: ARG001  # its callback acts on it
        version: Version = False,  # noqa: ARG001
    ) -> None:
        """MCP servers, agents and model APIs from one small YAML."""
        group = context.command
        # `kaos plugins` must be able to show what is wrong.
        if isinstance(group, LazyGroup) and group.strict and context.invoked_subcommand != "plugins":
            refuse_problems({command.name for command in group.builtin})

    group = get_command(app)
    if not isinstance(group, LazyGroup):
        raise TypeError(f"typer made a {type(group).__name__} of the root")
    group.builtin = builtin()
    group.strict = os.environ.get("KAOS_STRICT_PLUGINS") == "1"
    if offer is not None:
        group.offer = offer
    return group


def help_text(offer: Offer) -> str:
    """What `kaos --help` prints, without the last newline."""
    group = root(offer)
    with group.make_context("kaos", [], resilient_parsing=True) as context:
        return group.get_help(context)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; whatever goes wrong is told on stderr."""
    try:
        try:
            outcome = root().main(args=list(arguments), prog_name="kaos", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # the last stop: it becomes one line and an exit code
        return report(error, arguments)
    return outcome if isinstance(outcome, int) else 0


def _closed_pipe() -> int:
    """The reader has left (`kaos … | head`): the interpreter must not complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
