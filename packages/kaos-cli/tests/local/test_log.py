"""Which line of a log says why a program ended."""

import pytest

from kaos_cli.local.log import last_line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("starting\nno database\n", "no database"),
        ("error: missing --token\n\nUsage: server [options]\n  --token TEXT\n", "error: missing --token"),
        ("Error: first\nERROR second\nkaos: ours\nsee the manual\n", "ERROR second"),
        ("Traceback (most recent call last):\n  File x\nValueError: bad port\nbye\n", "ValueError: bad port"),
        ("Traceback (most recent call last):\n  File x\nmy.own.Problem: why\n", "my.own.Problem: why"),
        ("errors: 0\nall is well\n", "all is well"),
    ],
)
def test_the_line_of_an_error_is_preferred_to_what_follows_it(tmp_path, text, told):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log", 0) == told


def test_the_own_word_of_a_program_that_refuses_is_its_last_line(tmp_path):
    (tmp_path / "log").write_text("Error: a warning of its library\nNoTools: no function\n")
    assert last_line(tmp_path / "log", 0, verbatim=True) == "NoTools: no function"
