"""The documentation cannot rot: shell blocks are run, links resolve, and lists are compared with the code.

A fenced block whose first line starts with `$ ` is run, line by line, in a home of its own, and what it shows is
compared: `…` stands for anything, and ports, seconds and ages may differ. `[exit 5]` is the status of a command that
fails. A block with `title="FILE"` becomes that file. Pages that say so have a cluster: `kubectl`, a real API server,
the operator, and a node that runs the programs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from kaos_cli.app import root as command_tree
from kaos_cli.local.settings import PREFIX
from kaos_cli.local.settings import Settings as LocalSettings
from kaos_core.conditions import REASONS
from kaos_operator.metrics import Metrics

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "changes/*.md", "packages/*/README.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$", re.M | re.S
)
WITH_ECHO = "<!-- runs with: kaos-runtime-echo -->"
"""On a page whose commands need the example plugin to be installed."""
WITH_CLUSTER = "<!-- runs with: a cluster -->"
"""On a page whose commands need one."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    info: str
    body: str
    line: int

    @property
    def file(self) -> str:
        title = re.search(r'title="([^"]+)"', self.info)
        return title[1] if title else ""

    @property
    def runs(self) -> bool:
        return self.body.startswith("$ ")


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        body = "".join(line.removeprefix(found["indent"]) for line in found["body"].splitlines(keepends=True))
        yield Block(found["info"].strip(), body, text.count("\n", 0, found.start()) + 1)


RUN = [page for page in PAGES if not page.startswith("packages/") and any(block.runs for block in blocks(page))]
IN_CLUSTER = [page for page in RUN if WITH_CLUSTER in (ROOT / page).read_text(encoding="utf-8")]


# Shell blocks.


@pytest.mark.parametrize("page", [page for page in RUN if page not in IN_CLUSTER])
def test_the_commands_of_a_page_do_what_it_shows(page: str, kaos: Any, request: pytest.FixtureRequest):
    if WITH_ECHO in (ROOT / page).read_text(encoding="utf-8"):
        kaos.python = request.getfixturevalue("python_with_echo")
        kaos.env["PATH"] = os.pathsep.join([str(Path(kaos.python).parent), kaos.env["PATH"]])
    follow(page, kaos)


@pytest.mark.parametrize("page", IN_CLUSTER)
def test_the_commands_of_a_page_about_a_cluster_do_what_it_shows(page: str, kaos: Any, cluster: Any):
    with cluster.namespace() as namespace:
        kaos.env |= cluster.env(namespace)
        kaos.env["PATH"] = os.pathsep.join([str(cluster.kubectl.parent), kaos.env["PATH"]])
        # A page is read by somebody whose namespace is `default`.
        follow(page, kaos, lambda text: text.replace(namespace, "default"))


def follow(page: str, kaos: Any, read: Callable[[str], str] = str) -> None:
    """Do what a page says, from top to bottom; `read` is how its reader would see what is printed."""
    (kaos.folder / "examples").symlink_to(ROOT / "examples")
    for block in blocks(page):
        if block.file:
            (kaos.folder / block.file).write_text(block.body, encoding="utf-8")
        elif block.runs:
            for command, shown in commands(block.body):
                got = read(run(command, kaos))
                assert pattern(shown).fullmatch(plain(got)), f"{page}:{block.line}: $ {command}\n{got}"


def commands(body: str) -> Iterator[tuple[str, str]]:
    """Each command of a block with what is shown below it."""
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        lines = part.splitlines()
        length = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\"))
        yield "\n".join(lines[:length]), "\n".join(lines[length:])


def run(command: str, kaos: Any) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        env=kaos.env,
        cwd=kaos.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + (f"[exit {done.returncode}]\n" if done.returncode else "")


def pattern(shown: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in plain(shown).split("…")), re.S)


def plain(text: str) -> str:
    """Without what differs from run to run: ports, seconds, ages, and the width of a column of URLs."""
    text = re.sub(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT", text)
    text = re.sub(r"\b\d+\.\d+s\b", "SECONDS", text)
    text = re.sub(r"\b\d+s$", "AGE", text, flags=re.M)
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in text.strip().splitlines())


# Links.


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str):
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]*`", "", text)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if file.is_dir():
            file = file / "README.md" if (file / "README.md").exists() else file
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and most site generators make them."""
    text = FENCE.sub("", file.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+?) *$", text, re.M)
    words = [re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings]
    return set(words)


def test_every_page_is_reached_from_the_first():
    seen: set[Path] = set()
    waiting = [(ROOT / "README.md").resolve()]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target):
                path = (page.parent / target).resolve()
                waiting.append(path / "README.md" if path.is_dir() else path)
    wanted = {path.resolve() for path in (*ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md"))}
    assert sorted(str(path.relative_to(ROOT)) for path in wanted - seen) == []


# Lists that the code has too.


def sections(page: str, level: int) -> dict[str, str]:
    """Heading -> text below it."""
    return divided((ROOT / page).read_text(encoding="utf-8"), level)


def divided(text: str, level: int) -> dict[str, str]:
    parts = re.split(rf"^#{{{level}}} +(.+?) *$", text, flags=re.M)
    return dict(zip((heading.replace("`", "") for heading in parts[1::2]), parts[2::2], strict=True))


def test_troubleshooting_has_every_reason_and_no_other():
    conditions = sections("docs/troubleshooting.md", 2)
    described: dict[str, str] = {}
    for condition, reasons in REASONS.items():
        below = divided(conditions[condition], 3)
        assert set(below) <= set(reasons), condition
        described |= below
    assert set(described) == {reason for group in REASONS.values() for reason in group}
    for reason, text in described.items():
        assert "**Means:**" in text, reason
        assert "**Do:**" in text, reason


def test_troubleshooting_links_every_reason_where_it_is_described():
    assert {reason.lower() for group in REASONS.values() for reason in group} <= anchors(
        ROOT / "docs/troubleshooting.md"
    )


def test_the_overview_of_the_operator_has_every_metric_and_no_other():
    exposed = re.findall(r"^# TYPE (\S+)", Metrics([], {}).text().decode(), re.M)
    described = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operator/overview.md").read_text(encoding="utf-8"), re.M)
    shortened = {name.removesuffix("_created") for name in exposed if not name.endswith("_created")}
    assert set(described) == shortened


def variables() -> set[str]:
    """Every KAOS_* variable that the code reads or sets, by the strings in it."""
    found: set[str] = set()
    for file in ROOT.glob("packages/*/src/**/*.py"):
        found |= set(re.findall(r"\bKAOS_[A-Z0-9_]*[A-Z0-9]\b", file.read_text(encoding="utf-8")))
    of_settings = {f"{PREFIX}{field.name.upper()}" for field in fields(LocalSettings) if field.name != "gateway_port"}
    return (found | of_settings) - NOT_VARIABLES


NOT_VARIABLES = {"KAOS_VERSION"}
"""A constant."""


def test_the_reference_has_every_environment_variable_and_no_other():
    text = (ROOT / "docs/reference/environment-variables.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(KAOS_[A-Z0-9_]+)`", text, re.M))
    assert described == variables()


def tree() -> dict[str, Any]:
    """Every command of `kaos` by its words."""
    group = command_tree()
    found: dict[str, Any] = {}

    def walk(command: Any, words: list[str], context: Any) -> None:
        for name in command.list_commands(context):
            _, child, _ = command.resolve_command(context, [name])
            path = [*words, name]
            if hasattr(child, "list_commands"):
                walk(child, path, child.make_context(name, [], parent=context, resilient_parsing=True))
            else:
                found[" ".join(path)] = child

    with group.make_context("kaos", [], resilient_parsing=True) as context:
        walk(group, ["kaos"], context)
    return found


CLI_PAGES = {"up": "up.md", "ps": "up.md", "down": "up.md", "mcp": "mcp.md", "system": "system.md"}
CLI_PAGES |= dict.fromkeys(("plugins", "schema", "version"), "index.md")


def test_the_pages_of_the_command_line_have_every_command_with_every_option():
    commands_there = tree()
    assert len(commands_there) >= 14
    for words, command in commands_there.items():
        page = f"docs/cli/{CLI_PAGES[words.split()[1]]}"
        described = sections(page, 2)
        assert words in described, f"{page} has no section on {words}"
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        for option in options - {"--help"}:
            assert f"`{option}" in described[words] or f", {option}" in described[words], f"{page}: {words} {option}"


def test_the_pages_of_the_command_line_describe_no_command_that_is_not_there():
    for page in sorted(set(CLI_PAGES.values())):
        for heading in sections(f"docs/cli/{page}", 2):
            if heading.startswith("kaos "):
                assert heading in tree(), f"docs/cli/{page}: {heading}"


def test_the_readme_shows_the_two_commands_and_a_called_tool_in_under_fifteen_lines():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("python3 -m pip install nox && nox -s demo", "python3 -m pip install nox && nox"):
        assert f"{command}\n" in text
    first = next(block for block in blocks("README.md") if block.runs)
    assert len(first.body.splitlines()) < 15
    assert "kaos mcp invoke" in first.body


def test_the_tutorial_shows_the_files_of_the_example():
    shown = [block.body for block in blocks("docs/plugins/tutorial.md") if block.info in ("python", "toml")]
    folder = ROOT / "examples" / "kaos-runtime-echo"
    module = folder / "src" / "kaos_runtime_echo"
    files = [
        module / "__init__.py",
        folder / "pyproject.toml",
        module / "server.py",
        folder / "tests" / "test_plugin.py",
    ]
    assert shown == [file.read_text(encoding="utf-8") for file in files]


def test_the_documents_speak_of_this_project_alone():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not re.search(r"/tmp/|/work/|shared/|axsauze", text), page
