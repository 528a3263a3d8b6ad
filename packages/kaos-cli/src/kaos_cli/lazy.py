"""LazyGroup: a group that imports a command when it is run, and plugins only when a name is not a built-in one."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.models import DefaultPlaceholder

from kaos_cli.errors import CommandError, UsageError
from kaos_cli.offer import Offer, installed, refuse_problems
from kaos_cli.output import warn
from kaos_core.commands import Command

# typer's own options, which it adds to any app that does not switch them off; they belong to the root alone.
_ROOT_OPTIONS = frozenset({"install_completion", "show_completion"})


class Group(TyperGroup):
    """A group that tells of an unknown command in the words of all of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is about to run. Raises UsageError with the nearest names for an unknown one."""
        if not ctx.resilient_parsing and args[0] not in (names := self.list_commands(ctx)):
            near = get_close_matches(args[0], names)
            suggestion = f" Did you mean: {', '.join(near)}?" if near else ""
            path = ctx.command_path
            raise UsageError(
                f'unknown command "{args[0]}" for "{path}".{suggestion}', hint=f"{path} --help lists the commands"
            )
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """Built-in commands by their modules, plugins' by their offer; none is imported until it is run."""

    builtin: tuple[Command, ...] = ()
    strict = False

    @cached_property
    def offer(self) -> Offer:
        """What plugins add; loading it prints its warnings, or raises CommandError for them in strict mode."""
        names = {command.name for command in self.builtin}
        if self.strict:
            refuse_problems(names)
        offer = installed(names)
        for warning in offer.warnings:
            warn(warning)
        return offer

    def find(self, name: str) -> Command | None:
        """The command of that name; plugins are loaded only when no built-in one has it."""
        for command in self.builtin:
            if command.name == name:
                return command
        return next((command for command in self.offer.commands if command.name == name), None)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # typer's signature
        """Every name: built-in ones, then plugins'."""
        return [command.name for command in (*self.builtin, *self.offer.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # typer's signature
        """Enough for a listing: of a plugin's command a stub with its help, so that its code is not imported."""
        command = self.find(cmd_name)
        if command is None or not command.help:
            return load(command) if command else None
        return TyperCommand(command.name, help=command.help, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is about to run. Raises UsageError with the nearest names for an unknown one."""
        name, *rest = args
        command = self.find(name)
        if command is not None:
            return command.name, load(command), rest
        if ctx.resilient_parsing:
            return None, None, rest
        return super().resolve_command(ctx, args)


def load(command: Command) -> Any:
    """Import a command's app and make it a part of ours.

    An app with one function is a command itself, as it is under `typer.run`.

    Raises:
        CommandError: it cannot be imported.
    """
    try:
        app = command.load()
    except Exception as error:
        raise CommandError(
            f'the command "{command.name}" cannot be loaded from {command.target}: {type(error).__name__}: {error}'
        ) from error
    if not isinstance(app, typer.Typer):
        raise CommandError(
            f'the command "{command.name}" is a {type(app).__name__} at {command.target}, not a typer.Typer'
        )
    if isinstance(app.info.cls, DefaultPlaceholder):
        app.info.cls = Group
    loaded = get_command(app)
    loaded.name = command.name
    loaded.params = [parameter for parameter in loaded.params if parameter.name not in _ROOT_OPTIONS]
    _plain(loaded)
    return loaded


def _plain(command: Any) -> None:
    """No boxes and no 80-column cut, in plugins' help either."""
    command.rich_markup_mode = None
    for child in getattr(command, "commands", {}).values():
        _plain(child)
