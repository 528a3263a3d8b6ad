"""Plugins: find them by entry point, survive the broken ones, call their hooks.

One manager per program, made in its main function and passed down. Each plugin loads by itself: a broken one costs
only itself and is remembered in `failures`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from kaos_core import hookspecs
from kaos_core.commands import Command
from kaos_core.errors import KaosError, PluginError
from kaos_core.hookspecs import GROUP
from kaos_core.kinds import Kind
from kaos_core.overdue import OverdueError, at_most
from kaos_core.runtime import Runtime

HOOK_LIMIT = 5.0
"""Seconds that a hook may take."""
IMPORT_LIMIT = 30.0
"""Seconds that the import of a plugin may take; on a slow disk a large one takes some."""


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that could not be used: `name` is its entry point, `distribution` what to uninstall."""

    name: str
    distribution: str
    version: str
    error: str
    details: str = ""


@dataclass(frozen=True)
class PluginInfo:
    """What one plugin offers; `failure` is empty when it works."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Implementation:
    """One plugin's part in one hook."""

    plugin: str
    call: Callable[..., Any]


class Plugins:
    """The plugins of one program.

    Order is part of the contract: plugins are called in alphabetical order of their names, except that `tryfirst`
    implementations come before and `trylast` ones after the rest.

    An implementation that takes longer than `hook_limit` seconds is called no more, and its plugin is a failure.
    `failed` is called with every new one in `failures`.
    """

    def __init__(self, hook_limit: float = HOOK_LIMIT, import_limit: float = IMPORT_LIMIT) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._distributions: dict[str, tuple[str, str]] = {}
        self._modules: dict[str, Any] = {}
        self._hook_limit = hook_limit
        self._import_limit = import_limit
        self._hung: set[tuple[str, str]] = set()
        self.failures: list[PluginFailure] = []
        self.failed: Callable[[], None] = lambda: None

    @classmethod
    def installed(cls, environ: Mapping[str, str] = os.environ) -> Plugins:
        """Every plugin that is installed, less those in `KAOS_DISABLED_PLUGINS` (comma-separated).

        Raises:
            PluginError: one is broken and `KAOS_STRICT_PLUGINS` is 1.
        """
        disabled = {name.strip() for name in environ.get("KAOS_DISABLED_PLUGINS", "").split(",")}
        found = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.dist.name if point.dist else ""))
        plugins = cls()
        for point in found:
            if point.name not in disabled:
                plugins.load(point)
        if plugins.failures and environ.get("KAOS_STRICT_PLUGINS") == "1":
            first = plugins.failures[0]
            raise PluginError(
                f"plugin {first.name} ({first.distribution} {first.version}) failed to load: {first.error}",
                plugin=first.name,
            )
        return plugins

    def load(self, point: EntryPoint) -> None:
        """Import and register one entry point; what goes wrong becomes a failure."""
        distribution = (point.dist.name, point.dist.version) if point.dist else ("", "")
        if self._taken(point.name, distribution):
            return
        try:
            with at_most(self._import_limit):
                module = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 a plugin may raise anything at import, SystemExit too
            self._fail(point.name, distribution, error)
            return
        self.register(module, point.name, distribution)

    def register(self, module: Any, name: str, distribution: tuple[str, str] = ("", "")) -> None:
        """Add a plugin: a module or any object with hook implementations. What is wrong with it becomes a failure."""
        if self._taken(name, distribution):
            return
        try:
            self._manager.register(module, name)
            wrappers = [
                hook
                for hook, implementation in self._implementations_of(module)
                if implementation.wrapper or implementation.hookwrapper
            ]
            if wrappers:
                raise pluggy.PluginValidationError(
                    module, f"{wrappers[0]} is a wrapper; order hooks with tryfirst and trylast"
                )
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError, TypeError) as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self._fail(name, distribution, error)
            return
        self._distributions[name] = distribution
        self._modules[name] = module

    def _taken(self, name: str, distribution: tuple[str, str]) -> bool:
        """Two plugins with one name: the first keeps it, and the second is told so."""
        if name in self._modules:
            self._fail(name, distribution, f"the name {name} is taken by {self.label(name)}, which keeps it")
        return name in self._modules

    def kinds(self) -> dict[str, Kind]:
        """The kinds of resources by name: what registered modules offer as `KIND`."""
        # In `__dict__`, not by getattr: a plugin object may compute its attributes, and fail in it.
        found = (getattr(self._modules[name], "__dict__", {}).get("KIND") for name in self.names())
        return {kind.name: kind for kind in found if isinstance(kind, Kind)}

    def names(self) -> list[str]:
        """The names of the plugins that work, in order."""
        return sorted(self._modules)

    def module(self, name: str) -> Any:
        """The registered object of a plugin."""
        return self._modules[name]

    def label(self, name: str) -> str:
        """A plugin for people: `kaos-runtime-slack 0.1.0`."""
        return " ".join(part for part in self._distributions.get(name, ("", "")) if part) or name

    def implementations(self, hook: str) -> Iterator[Implementation]:
        """The implementations of a hook in the order they are called."""
        caller = getattr(self._manager.hook, hook)
        found = caller.get_hookimpls()
        first = [item for item in found if item.tryfirst]
        last = [item for item in found if item.trylast]
        middle = [item for item in found if not item.tryfirst and not item.trylast]
        for group in (first, middle, last):
            for item in sorted(group, key=lambda implementation: implementation.plugin_name):
                call = self._bounded(item.plugin_name, hook, _accepting(item.function, item.argnames))
                yield Implementation(item.plugin_name, call)

    def _bounded(self, name: str, hook: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def bounded(**offered: Any) -> Any:
            if (name, hook) in self._hung:
                raise OverdueError("it hung, so it is called no more until the next start")
            try:
                with at_most(self._hook_limit):
                    return call(**offered)
            except OverdueError as error:
                self._hung.add((name, hook))
                self.fail(name, f"{hook} hung: {error}")
                raise

        return bounded

    def commands(self) -> list[tuple[Command, str]]:
        """Subcommands with the plugin of each; a plugin whose hook raises is remembered as a failure."""
        return [(command, name) for name, command in self._collect("kaos_commands", Command)]

    def infos(self) -> list[PluginInfo]:
        """Every plugin, the broken ones too, by name."""
        runtimes = list(self._collect("kaos_runtimes", Runtime))
        commands = list(self._collect("kaos_commands", Command))
        working = []
        for name in self.names():
            of_this = (name, *self._distributions[name])
            if any((failure.name, failure.distribution, failure.version) == of_this for failure in self.failures):
                continue
            hooks = tuple(sorted(hook for hook, _ in self._implementations_of(self._modules[name])))
            own_runtimes = tuple(str(getattr(runtime, "name", "?")) for plugin, runtime in runtimes if plugin == name)
            own_commands = tuple(command.name for plugin, command in commands if plugin == name)
            working.append(PluginInfo(name, *self._distributions[name], hooks, own_runtimes, own_commands))
        broken = [
            PluginInfo(failure.name, failure.distribution, failure.version, failure=failure.error)
            for failure in self.failures
        ]
        return sorted([*working, *broken], key=lambda info: info.name)

    def fail(self, name: str, error: BaseException | str) -> None:
        """Remember that a registered plugin is broken after all; the first failure of each is remembered."""
        self._fail(name, self._distributions.get(name, ("", "")), error)

    def _collect(self, hook: str, wanted: type) -> Iterator[tuple[str, Any]]:
        for implementation in self.implementations(hook):
            try:
                offered = list(implementation.call() or ())
            except Exception as error:  # noqa: BLE001 a hook may raise anything; it costs only its plugin
                self.fail(implementation.plugin, error)
                continue
            for item in offered:
                if isinstance(item, wanted):
                    yield implementation.plugin, item
                else:
                    found = type(item).__name__
                    self.fail(implementation.plugin, f"{hook} returned a {found}, which is no {wanted.__name__}")

    def _implementations_of(self, module: Any) -> list[tuple[str, Any]]:
        callers = self._manager.get_hookcallers(module) or []
        return [(caller.name, item) for caller in callers for item in caller.get_hookimpls() if item.plugin is module]

    def _fail(self, name: str, distribution: tuple[str, str], error: BaseException | str) -> None:
        text = error if isinstance(error, str) else _one_line(error)
        details = "" if isinstance(error, str) else "".join(traceback.format_exception(error))
        failure = PluginFailure(name, *distribution, text, details)
        # The first of each: texts may differ with every call, by a time or an address.
        if all((known.name, known.distribution) != (name, failure.distribution) for known in self.failures):
            self.failures.append(failure)
            self.failed()


def _accepting(function: Callable[..., Any], argument_names: tuple[str, ...]) -> Callable[..., Any]:
    """A hook takes only the arguments it names, so that a later version can offer more."""

    def call(**offered: Any) -> Any:
        try:
            return function(**{name: offered[name] for name in argument_names})
        except SystemExit as error:
            raise RuntimeError(f"it called sys.exit({error.code!r})") from error  # a plugin does not end its program

    return call


def _one_line(error: BaseException) -> str:
    if isinstance(error, KaosError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
