"""Registry: the runtimes there are. Plugin entries, with ConfigMaps laid over them field by field (design, "Overlay").

    plugin entry < chart ConfigMap `kaos-mcp-runtimes` < labelled ConfigMaps, by name

Immutable: a change of an overlay makes a new registry. Every field remembers the layer it came from.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from kaos_core.documents import load_all
from kaos_core.errors import DocumentError, Problem, ResolveError
from kaos_core.plugins import Plugins
from kaos_core.runtime import BUILT_IN, CUSTOM, Runtime, camel


@dataclass(frozen=True)
class Overlay:
    """The text of one ConfigMap's `runtimes.yaml`; `origin` is its name: `ConfigMap kaos-system/kaos-mcp-runtimes`."""

    origin: str
    text: str


@dataclass(frozen=True)
class Entry:
    """One runtime as it counts, and where it comes from.

    `origins` maps a field's YAML name to the layer that set it; `plugin` is the plugin whose hooks are its own,
    empty for a runtime that a ConfigMap made.
    """

    runtime: Runtime
    origins: Mapping[str, str]
    plugin: str = ""

    @property
    def origin(self) -> str:
        """Every layer that took part, lowest first, for people."""
        return " + ".join(dict.fromkeys(self.origins.values()))


@dataclass(frozen=True)
class Registry:
    """Runtimes by name. `problems` are entries and documents that were passed over, each with its origin and line."""

    by_name: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    """Names whose ConfigMap entry cannot be used, with the reason."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Plugins that failed, by the name of their entry point, with the reason."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The last overlay of each origin that could be parsed."""

    @classmethod
    def build(cls, plugins: Plugins, overlays: Sequence[Overlay] = (), previous: Registry | None = None) -> Registry:
        """The registry of these plugins and overlays, lowest overlay first.

        An overlay that cannot be parsed counts as it was in `previous`; a bad entry costs only itself.
        """
        builder = _Builder(plugins)
        builder.take_plugins()
        documents = {}
        for overlay in overlays:
            runtimes, lines = builder.parse(overlay)
            if runtimes is None:
                runtimes = dict(previous.documents.get(overlay.origin, {})) if previous else {}
            documents[overlay.origin] = MappingProxyType(runtimes)
            for name, given in runtimes.items():
                builder.lay_over(name, given, overlay.origin, lines.get(name, 0))
        return cls(
            MappingProxyType(builder.entries),
            tuple(builder.problems),
            MappingProxyType(builder.broken),
            MappingProxyType(builder.failed),
            MappingProxyType(documents),
        )

    def get(self, name: str) -> Entry:
        """The runtime of a name or an alias.

        Raises:
            ResolveError: UnknownRuntime with the names there are (S4.38), RuntimeDisabled, or PluginFailed.
        """
        entry = self.by_name.get(name) or next((e for e in self.by_name.values() if name in e.runtime.aliases), None)
        if entry is None:
            raise self._unknown(name)
        if entry.runtime.disabled:
            message = f"runtime {name} is disabled by {entry.origins.get('disabled', 'its plugin')}"
            raise ResolveError(
                message,
                reason="RuntimeDisabled",
                path="spec.runtime",
                hint="ask your platform team, or use another runtime",
            )
        return entry

    def entries(self) -> list[Entry]:
        """Every entry for a listing: what KAOS ships itself, then plugins', then ConfigMaps', `custom` last."""
        return sorted(
            self.by_name.values(), key=lambda entry: (entry.runtime.name == CUSTOM, entry.runtime.source != BUILT_IN)
        )

    def _unknown(self, name: str) -> ResolveError:
        known = sorted(self.by_name)
        if name in self.failed:
            hint = "`kaos plugins list` shows every plugin; reinstall this one"
            message = f"runtime {name}: {self.failed[name]}"
            return ResolveError(message, reason="PluginFailed", path="spec.runtime", hint=hint)
        if name in self.broken:
            return ResolveError(
                f"unknown runtime: {name} ({self.broken[name]})", reason="UnknownRuntime", path="spec.runtime"
            )
        close = difflib.get_close_matches(name, known, 1)
        hint = (
            f"did you mean {close[0]}?"
            if close
            else f"perhaps it is of a plugin that failed: {', '.join(sorted(self.failed))}"
            if self.failed
            else "`kaos system runtimes` lists them; a missing one comes with its plugin"
        )
        return ResolveError(
            f"unknown runtime: {name} (available: [{', '.join(known)}])",
            reason="UnknownRuntime",
            path="spec.runtime",
            hint=hint,
        )


class _Builder:
    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self.entries: dict[str, Entry] = {}
        self.problems: list[Problem] = []
        self.broken: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def take_plugins(self) -> None:
        for implementation in self.plugins.implementations("kaos_runtimes"):
            plugin = implementation.plugin
            label = f"plugin {self.plugins.label(plugin)}"
            try:
                offered = list(implementation.call() or ())
            except Exception as error:  # noqa: BLE001 a hook may raise anything; it costs only its plugin
                self.plugins.fail(plugin, error)
                continue
            for runtime in offered:
                wrong = _wrong_with(runtime)
                if wrong:
                    self.plugins.fail(plugin, f"kaos_runtimes: {wrong}")
                elif runtime.name in self.entries:
                    other = self.entries[runtime.name]
                    message = f"runtime {runtime.name} of {label} is passed over: {other.origin} has that name"
                    self.problems.append(Problem("PluginFailed", message, severity="warning"))
                else:
                    self.entries[runtime.name] = Entry(runtime, dict.fromkeys(_given(runtime), label), plugin)
        for failure in self.plugins.failures:
            self.failed.setdefault(
                failure.name, f"plugin {failure.distribution or failure.name} {failure.version} failed: {failure.error}"
            )

    def parse(self, overlay: Overlay) -> tuple[dict[str, Any] | None, dict[str, int]]:
        """The entries of an overlay and their lines; None for the entries when the document cannot be used."""
        try:
            documents = load_all(overlay.text)
            if len(documents) > 1:
                raise DocumentError(f"{len(documents)} documents where one belongs", line=documents[1].line)
            value = documents[0].value if documents else {}
            runtimes = value.get("runtimes") if isinstance(value, dict) else None
            if runtimes is None and value not in ({}, {"runtimes": None}):
                raise DocumentError("the top key must be runtimes:")
            if runtimes is not None and not isinstance(runtimes, dict):
                raise DocumentError("runtimes: must be a mapping of names to entries")
        except DocumentError as error:
            self.problems.append(
                Problem("InvalidRegistry", f"failed to parse runtime registry: {overlay.origin}: {error}")
            )
            return None, {}
        lines = {name: documents[0].line_of(("runtimes", name)) for name in runtimes or {}}
        return dict(runtimes or {}), lines

    def lay_over(self, name: str, given: Any, origin: str, line: int) -> None:
        """Lay one entry over what is there: given fields replace, the others stay."""
        at = f"{origin}, line {line}" if line else origin
        if name == CUSTOM:
            self._pass_over(name, at, "the name custom is reserved")
            return
        if not isinstance(given, dict):
            self._pass_over(name, at, f"an entry must be a mapping, found {type(given).__name__}")
            return
        below = self.entries.get(name)
        if below is None and name in self.failed:
            # Without its plugin it would run half-configured: no required variables, no token, no hooks.
            self.problems.append(Problem("PluginFailed", f"{at}: runtime {name}: {self.failed[name]}"))
            return
        merged = {**(_given(below.runtime) if below else {}), **given, "name": name}
        runtime, wrong = _validated(merged)
        if runtime is not None and not runtime.image and not runtime.remote:
            runtime, wrong = None, "image: is required"
        if runtime is None:
            self._pass_over(name, at, wrong)
            return
        origins = {**(below.origins if below else {}), **dict.fromkeys(given, origin)}
        self.entries[name] = Entry(runtime, origins, below.plugin if below else "")
        self.broken.pop(name, None)

    def _pass_over(self, name: str, at: str, wrong: str) -> None:
        self.problems.append(Problem("InvalidRegistry", f"{at}: runtime {name}: {wrong}"))
        if name not in self.entries:
            self.broken[name] = f"{at}: {wrong}"


def _given(runtime: Runtime) -> dict[str, Any]:
    """An entry's fields by their YAML names, those at their default left out."""
    values = {camel(f.name): getattr(runtime, f.name) for f in fields(runtime)}
    blank = Runtime(name=runtime.name, type=runtime.type)
    plain = {camel(f.name): getattr(blank, f.name) for f in fields(blank)}
    return {name: value for name, value in values.items() if name in ("name", "type") or value != plain[name]}


def _wrong_with(offered: Any) -> str:
    """What is wrong with what a plugin offers as a runtime; empty when nothing is."""
    if not isinstance(offered, Runtime):
        return f"a {type(offered).__name__} is no Runtime"
    if offered.name != CUSTOM and not offered.image and not offered.remote:
        return f"runtime {offered.name}: image: is required"
    _, wrong = _validated(_given(offered))
    return f"runtime {offered.name}: {wrong}" if wrong else ""


@cache
def _runtime_form() -> Any:
    """The validator of entries, made once: making it costs far more than using it (B92)."""
    from pydantic import TypeAdapter

    return TypeAdapter(Runtime)


def _validated(values: Mapping[str, Any]) -> tuple[Runtime | None, str]:
    """An entry as a Runtime, or what is wrong with it in one line."""
    from pydantic import ValidationError

    from kaos_core.resources.base import path_text

    try:
        runtime: Runtime = _runtime_form().validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = (
            "is no field of a runtime"
            if first["type"] == "unexpected_keyword_argument"
            else first["msg"][0].lower() + first["msg"][1:]
        )
        return None, f"{path_text(first['loc'])}: {message.replace('tuple', 'list')}"
    return replace(runtime, params_schema=dict(runtime.params_schema) if runtime.params_schema else None), ""
