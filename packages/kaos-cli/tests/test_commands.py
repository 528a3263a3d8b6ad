"""The tree of commands: every built-in one loads, plugins' ones load when they run, and clashes are told (B87)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from kaos_cli.app import builtin, root
from kaos_cli.lazy import load

if TYPE_CHECKING:
    from conftest import Kaos, Site

HELLO = """
import typer

app = typer.Typer()

@app.command()
def hello(name: str = "World") -> None:
    print(f"Hello, {name}!")
"""


def leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in children.items():
        yield from leaves(child, (*path, name))


PATHS = [path for command in builtin() for path in leaves(load(command), (command.name,))]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_shows_an_example_in_its_help(path: tuple[str, ...]) -> None:
    command: Any = load(next(item for item in builtin() if item.name == path[0]))
    for name in path[1:]:
        command = command.commands[name]
    with command.make_context(" ".join(path), [], resilient_parsing=True) as context:
        text = command.get_help(context)
    assert f"Example: kaos {' '.join(path)}" in text


def test_the_tree_is_complete() -> None:
    verbs = {" ".join(path) for path in PATHS}
    wanted = {f"mcp {verb}" for verb in ("deploy", "list", "get", "logs", "delete", "tools", "invoke")}
    assert verbs >= wanted | {"system runtimes", "plugins list", "version", "schema", "up", "ps", "down"}


def test_a_plugins_command_runs_and_is_imported_only_then(kaos: Kaos, plugin: Site) -> None:
    plugin("hello", plugin.offering("hello", "hello_app:app"), hello_app="print('imported')" + HELLO)
    assert "imported" not in kaos("--help").stdout
    done = kaos("hello", "--name", "you")
    assert done.stdout == "imported\nHello, you!\n"
    assert "install-completion" not in kaos("hello", "--help").stdout


def test_a_built_in_name_wins_and_the_clash_is_told(kaos: Kaos, plugin: Site) -> None:
    """B87."""
    plugin("greedy", plugin.offering("version", "hello_app:app"), hello_app=HELLO)
    assert kaos("version").stdout == kaos("--version").stdout
    done = kaos("--help")
    assert done.stderr == 'warning: plugin greedy offers a command "version": the built-in "kaos version" stays\n'
    assert done.stdout.count("  version ") == 1
    assert kaos("--strict", "version").returncode == 1


def test_of_two_plugins_with_one_command_the_first_by_name_wins(kaos: Kaos, plugin: Site) -> None:
    """B87."""
    plugin("bbb", plugin.offering("hello", "b_app:app"), b_app=HELLO.replace("Hello", "Second"))
    plugin("aaa", plugin.offering("hello", "a_app:app"), a_app=HELLO.replace("Hello", "First"))
    done = kaos("hello")
    assert done.stdout == "First, World!\n"
    assert done.stderr == 'warning: plugins aaa and bbb both offer a command "hello": that of aaa is used\n'
    assert kaos("hello", env={"KAOS_STRICT_PLUGINS": "1"}).returncode == 1


def test_a_command_that_cannot_be_imported_is_one_line(kaos: Kaos, plugin: Site) -> None:
    plugin("hello", plugin.offering("hello", "no_such_module:app"))
    done = kaos("hello")
    assert done.returncode == 1
    assert done.stderr == (
        'error: the command "hello" cannot be loaded from no_such_module:app: '
        "ModuleNotFoundError: No module named 'no_such_module'\n"
    )


def test_an_unknown_command_names_the_nearest_ones_of_plugins_too(kaos: Kaos, plugin: Site) -> None:
    plugin("hello", plugin.offering("hello"))
    done = kaos("helo")
    assert done.returncode == 2
    assert 'unknown command "helo" for "kaos". Did you mean: hello?' in done.stderr
    assert "Hint: kaos --help" in done.stderr


@pytest.mark.parametrize("group", ["", "mcp", "system", "plugins"])
def test_an_unknown_command_is_told_in_the_same_words_everywhere(kaos: Kaos, group: str) -> None:
    done = kaos(*group.split(), "nosuch")
    path = f"kaos {group}".strip()
    assert done.returncode == 2
    assert done.stderr == f'error: unknown command "nosuch" for "{path}".\nHint: {path} --help lists the commands\n'


def test_completion_knows_commands_of_plugins_and_groups(kaos: Kaos, plugin: Site) -> None:
    plugin("hello", plugin.offering("hello"))
    ask = {"_KAOS_COMPLETE": "complete_bash", "COMP_WORDS": "kaos he", "COMP_CWORD": "1"}
    assert kaos(env=ask).stdout.split() == ["hello"]
    ask = {"_KAOS_COMPLETE": "complete_bash", "COMP_WORDS": "kaos mcp de", "COMP_CWORD": "2"}
    assert kaos(env=ask).stdout.split() == ["deploy", "delete"]
    assert "complete" in kaos(env={"_KAOS_COMPLETE": "source_bash"}).stdout


def test_the_root_has_no_command_twice() -> None:
    names = [command.name for command in root().builtin]
    assert len(names) == len(set(names))
