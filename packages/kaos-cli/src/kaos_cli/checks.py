"""Checks of resources before they are applied or printed: the core's own plan of each, told with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaos_cli.errors import UsageError
from kaos_cli.output import warn
from kaos_core.errors import Problem, ResourceError

if TYPE_CHECKING:
    from kaos_cli.inputs import Given
    from kaos_cli.target import Target
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry


@dataclass(frozen=True)
class Checker:
    """What it takes to plan: the plugins and the registry they make."""

    plugins: Plugins
    registry: Registry

    @classmethod
    def installed(cls) -> Checker:
        """With the installed plugins; broken ones cost only their own servers."""
        from kaos_core.plugins import Plugins
        from kaos_core.registry import Registry

        plugins = Plugins.installed()
        return cls(plugins, Registry.build(plugins))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the kinds there are."""
        return tuple(self.plugins.kinds())

    def check(self, given: Iterable[Given]) -> None:
        """Plan each resource; warnings go to stderr. Raises UsageError with every error found."""
        errors: list[tuple[Given, Problem]] = []
        for item in given:
            if item.is_ours:
                for problem in self._problems(item):
                    if problem.severity == "error":
                        errors.append((item, problem))
                    else:
                        warn(_line(item, problem))
        if errors:
            hint = next((problem.hint for _, problem in errors if problem.hint), "")
            raise UsageError("\n".join(_line(item, problem) for item, problem in errors), hint=hint)

    def _problems(self, item: Given) -> Sequence[Problem]:
        from kaos_core.plan import plan

        try:
            return plan(item.source.document, self.registry, self.plugins).problems
        except ResourceError as error:
            return error.problems or (Problem.of(error),)


def remark(target: Target, given: Iterable[Given]) -> None:
    """Say what counts for nothing on this target; nothing is stopped by it."""
    for item in given:
        if item.is_ours:
            for sentence in target.remarks(item.source.document):
                warn(sentence)


def _line(item: Given, problem: Problem) -> str:
    # Who typed flags knows no paths.
    return f"{item.place(_parts(problem.path), problem.line)}: {problem}" if item.file else problem.message


def _parts(path: str) -> tuple[str | int, ...]:
    """`spec.container.env[0].name` as the keys and indexes it is made of."""
    return tuple(
        int(number) if number else key for key, number in re.findall(r"([^.\[\]]+(?=$|[.\[]))|\[(\d+)\]", path)
    )
