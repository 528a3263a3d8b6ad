"""Input that looks bad and is not: it reaches a real program, which works (B12)."""

from __future__ import annotations

import pytest

LINES = ["# one", "def add(a: int, b: int) -> int:", '    "Add."', "    return a + b", ""]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("bom", "\ufeff" + "\n".join(LINES)),
        ("crlf", "\r\n".join(LINES)),
        ("surrogate", "\n".join(["# \ud800", *LINES])),
        ("all", "\ufeff" + "\r\n".join(["# \udfff", *LINES])),
    ],
    ids=["bom", "crlf", "surrogate", "all"],
)
def test_b12_byte_order_marks_carriage_returns_and_lone_surrogates_do_no_harm(served, name, params):
    """B12. A NUL is refused: test_bad_input_refused.py"""
    served.create(served.server(name, params=params))
    assert served.until_ready(name)["status"]["availableTools"] == ["add"]
    served.delete("MCPServer", name)
