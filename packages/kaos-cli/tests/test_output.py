"""Tables, YAML and ages: aligned whatever stands in them, harmless to a terminal, and read back as they were (B86)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_cli.columns import at, printed
from kaos_cli.output import age, cell, plain, table, width, yaml_text
from kaos_core.documents import load_one

HOSTILE = [
    "计算器",
    "🚀🚀",
    "é\u0301",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07x",
    "a\r\nb",
    "\x9b31mx",
    "a\u200bb",
    "tab\tx",
    "\u202eabc",
]


def test_columns_are_aligned_whatever_stands_in_them() -> None:
    """B86."""
    lines = table(["NAME", "MESSAGE", "END"], [[text, text, "end"] for text in HOSTILE]).splitlines()
    assert len(lines) == len(HOSTILE) + 1
    assert len({width(line) for line in lines}) == 1
    assert all(line.endswith(("end", "END")) for line in lines)


def test_ten_thousand_rows_are_one_table() -> None:
    """B86."""
    resources = [
        {
            "metadata": {"name": f"server-{number}", "namespace": "default"},
            "spec": {"runtime": "rawpython"},
            "status": {"phase": HOSTILE[number % len(HOSTILE)], "endpoint": "END"},
        }
        for number in range(10_000)
    ]
    lines = printed("MCPServer", resources, wide=False, namespaces=False).splitlines()
    assert len(lines) == 10_001
    assert len({width(line[: line.rindex("END")]) for line in lines[1:]}) == 1


@given(st.text())
def test_no_control_character_is_left_in_a_cell(text: str) -> None:
    """B86."""
    left = cell(text)
    assert all(ord(char) >= 32 and not 127 <= ord(char) < 160 for char in left)


def test_a_message_keeps_its_lines_and_loses_its_escapes() -> None:
    """B86."""
    assert plain("one\n\x1b[1;31mtwo\x1b[0m\tthree\x07") == "one\ntwo\tthree"


def test_columns_have_three_spaces_between_them_and_are_never_cut() -> None:
    assert table(["A", "B"], [["x" * 300, 1], ["y", None]]).splitlines()[1] == "x" * 300 + "   1"
    assert table(["NAME", "B"], [["a", "b"]], (10,)).splitlines() == ["NAME         B", "a            b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (41, "41s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (30 * 3600, "30h"),
        (52 * 3600, "2d4h"),
        (10 * 86400, "10d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
        (-5, "0s"),
    ],
)
def test_an_age_reads_as_kubectl_writes_it(seconds: int, text: str) -> None:
    assert age("2026-11-21T06:00:00Z", 1795240800 + seconds) == text


def test_without_a_time_there_is_no_age() -> None:
    assert age("") == age("yesterday") == ""


def test_a_json_path_finds_keys_items_and_conditions() -> None:
    resource = {
        "status": {
            "phase": "Ready",
            "conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}],
        }
    }
    assert at(resource, ".status.phase") == "Ready"
    assert at(resource, '.status.conditions[?(@.type=="Ready")].status') == "True"
    assert at(resource, ".status.conditions[0].type") == "A"
    assert at(resource, ".status.nosuch.deeper") is None
    assert at(resource, '.status.conditions[?(@.type=="No")].status') is None
    assert at({}, ".status.conditions[0].type") is None


SAFE = st.characters(exclude_categories=["Cs", "Cc"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(SAFE) | st.text(st.sampled_from("0123456789eExXo+-._:")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(SAFE, min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_yaml_reads_back_as_what_it_was(value: Any) -> None:
    assert load_one(yaml_text({"spec": value})) == {"spec": value}


@given(st.lists(st.text(SAFE)).map("\n".join))
def test_code_of_several_lines_reads_back_as_it_was(text: str) -> None:
    assert load_one(yaml_text({"params": text})) == {"params": text}


def test_code_of_several_lines_stays_readable() -> None:
    assert yaml_text({"params": "def f():\n    return 1\n"}) == "params: |\n  def f():\n      return 1\n"
