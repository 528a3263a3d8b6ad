"""Offer: the subcommands that plugins add, and what is wrong with them; for help, completion and unknown names only."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaos_cli.errors import CommandError
from kaos_core.commands import Command

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins

_HINT = "kaos plugins list shows every plugin; KAOS_DISABLED_PLUGINS=NAME switches one off"


@dataclass(frozen=True)
class Offer:
    """What plugins add to the command line: each name once, sorted; and one line for each thing that is wrong."""

    commands: tuple[Command, ...] = ()
    warnings: tuple[str, ...] = ()


def installed(builtin: Collection[str]) -> Offer:
    """What the installed plugins offer beside the built-in names.

    A built-in name wins; of two plugins with one name the first in alphabetical order does (B87).
    """
    from kaos_core.plugins import Plugins

    return _offer(Plugins.installed(lenient()), builtin)


def refuse_problems(builtin: Collection[str]) -> None:
    """Strict mode: raise CommandError when a plugin is broken, or offers a command or runtime that another one has."""
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry

    plugins = Plugins.installed(lenient())
    problems = [str(problem) for problem in Registry.build(plugins).problems]
    warnings = [*_offer(plugins, builtin).warnings, *problems]
    if warnings:
        raise CommandError("; ".join(dict.fromkeys(warnings)), hint=_HINT)


def lenient() -> dict[str, str]:
    """The environment without strict mode, for a caller that tells of every broken plugin and not of the first."""
    return {name: value for name, value in os.environ.items() if name != "KAOS_STRICT_PLUGINS"}


def _offer(plugins: Plugins, builtin: Collection[str]) -> Offer:
    owners: dict[str, str] = {}
    commands: list[Command] = []
    offered = sorted(plugins.commands(), key=lambda pair: pair[1])
    # After the hooks have run: one that raises is a failure too.
    warnings = failures(plugins)
    for command, plugin in offered:
        if command.name in builtin:
            warnings.append(
                f'plugin {plugin} offers a command "{command.name}": the built-in "kaos {command.name}" stays'
            )
        elif command.name in owners:
            warnings.append(
                f'plugins {owners[command.name]} and {plugin} both offer a command "{command.name}": '
                f"that of {owners[command.name]} is used"
            )
        else:
            owners[command.name] = plugin
            commands.append(command)
    return Offer(tuple(sorted(commands, key=lambda command: command.name)), tuple(warnings))


def failures(plugins: Plugins) -> list[str]:
    """One line for each plugin that could not be used."""
    return [
        f"plugin {failure.name} ({failure.distribution} {failure.version}) is left out: {failure.error}"
        for failure in plugins.failures
    ]
