"""params text -> code: the rule of the design, section Details, params."""

import ast
import time
import tracemalloc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kaos_runtime_rawpython.source import MAX_MESSAGE, SourceError, tools_source

ADD = "def add(a: int, b: int) -> int:\n    return a + b\n"


def refused(text: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        tools_source(text)
    assert len(caught.value.message) <= MAX_MESSAGE
    assert "\n" not in caught.value.message
    return caught.value


def code_or_error(text: str) -> str | SourceError:
    try:
        return tools_source(text)
    except SourceError as error:
        return error


def test_bare_code_comes_back_as_it_is():
    assert tools_source(ADD) == ADD


def test_a_mapping_with_code_gives_the_code():
    """S4.48, trap C1."""
    assert (
        tools_source("code: |\n  def echo(text: str) -> str:\n      return text\n")
        == "def echo(text: str) -> str:\n    return text\n"
    )


def test_code_that_is_also_a_yaml_mapping_is_code():
    text = "def f():\n    return 1"
    assert isinstance(yaml.safe_load(text), dict)
    assert tools_source(text) == text


def test_a_syntax_error_in_code_that_is_also_a_mapping_is_told_as_one():
    assert str(refused("def f():\n    return 1 +")) == "InvalidCode: line 2: invalid syntax"


@pytest.mark.parametrize(
    "text", ["\ufeff" + ADD, ADD.replace("\n", "\r\n"), ADD.replace("\n", "\r"), "\ufeff" + ADD.replace("\n", "\r\n")]
)
def test_bom_and_carriage_returns_are_normalised(text):
    """B12."""
    assert tools_source(text) == ADD


@pytest.mark.parametrize(("text", "named"), [(ADD + "\0", "NUL"), (ADD + "# \udc80", "surrogate")])
def test_nul_and_half_surrogates_are_refused(text, named):
    """B12."""
    error = refused(text)
    assert error.reason == "InvalidParams"
    assert named in error.message


def billion_laughs() -> str:
    levels = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(levels)


def test_a_billion_laughs_is_refused_without_being_expanded():
    """B13."""
    before = time.process_time()
    error = refused(billion_laughs())
    assert error.reason == "InvalidParams"
    # 10^10 values would take minutes: a bound on the work, not a measurement.
    assert time.process_time() - before < 5


def test_a_billion_laughs_takes_less_than_10_mib():
    """B13: the peak of what is allocated while it is read; modules that the reading imports are there before."""
    laughs = billion_laughs()
    refused(laughs)
    tracemalloc.start()
    try:
        refused(laughs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < peak < 10 << 20


def test_yaml_tags_are_refused_and_nothing_runs(tmp_path):
    """B14."""
    mark = tmp_path / "ran"
    error = refused(f"!!python/object/apply:os.system ['touch {mark}']")
    assert error.reason == "InvalidParams"
    assert not mark.exists()
    assert refused(f"code: !!python/object/apply:os.system ['touch {mark}']").reason == "InvalidParams"
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- a\n- b\n", "a list"),
        ("[1, 2]", "a list"),
        ("42", "a number"),
        ("1.5", "a number"),
        ("null", "empty"),
        ("", "empty"),
        ("yes", "a boolean"),
        ("true", "a boolean"),
        ("tools: [a]\nname: b", "'name', 'tools'"),
        ("code: [1]", "`code` is a list"),
        ("code:", "`code` is empty"),
    ],
)
def test_other_yaml_is_refused_with_what_was_found_and_the_accepted_form(text, found):
    """B16."""
    error = refused(text)
    assert error.reason == "InvalidParams"
    assert found in error.message
    assert "code: |" in error.message


def test_an_unknown_key_beside_code_is_named():
    """B18."""
    error = refused("code: |\n  def f(): ...\nrequirements: [requests]\n")
    assert error.reason == "InvalidParams"
    assert "'requirements'" in error.message


def test_a_duplicate_code_key_is_refused():
    error = refused("code: 'def f(): ...'\ncode: 'def g(): ...'")
    assert error.reason == "InvalidParams"
    assert "twice" in error.message


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import os\n\ndef f(:\n    pass\n", 3),
        ("def f():\nreturn 1\n", 2),
        ("def f():\n\tif 1:\n        return 1\n", 3),
        ("def f():\n    pass\n\nreturn 5\n", 4),
    ],
)
@pytest.mark.parametrize("as_yaml", [False, True])
def test_code_that_does_not_compile_is_invalid_code_with_its_line(code, line, as_yaml):
    """B74: also inside `code: |`, where the line is counted in the code."""
    error = refused(yaml.safe_dump({"code": code}) if as_yaml else code)
    assert error.reason == "InvalidCode"
    assert error.message.startswith(f"line {line}: ")


def test_the_code_is_not_repeated_in_the_error():
    error = refused("password = 'hunter2hunter2' def f():\n    pass\n")
    assert "hunter2" not in error.message


def test_yaml_that_was_meant_as_yaml_is_told_its_yaml_error():
    error = refused("code: |\n  def f(): ...\n other: [\n")
    assert error.reason == "InvalidParams"
    assert "line 3" in error.message


def test_deeply_nested_code_is_refused():
    assert refused("def f(): return " + "(" * 5000 + ")" * 5000).reason == "InvalidCode"


def test_an_escape_python_warns_about_is_no_error():
    code = 'def f() -> str:\n    return "\\d"\n'
    assert tools_source(code) == code


def test_nothing_is_executed(tmp_path):
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\ndef f(): ...\n"
    assert tools_source(code) == code
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_any_text_gives_code_or_a_source_error(text):
    outcome = code_or_error(text)
    if isinstance(outcome, SourceError):
        assert outcome.reason in ("InvalidParams", "InvalidCode")
        assert len(outcome.message) <= MAX_MESSAGE
    else:
        ast.parse(outcome)


@given(st.text(alphabet="code:|-{}[]&*! \n'\"#def f():1<\t\0\udc80", max_size=40))
def test_any_yaml_like_text_gives_code_or_a_source_error(text):
    outcome = code_or_error(text)
    assert isinstance(outcome, str) or outcome.reason in ("InvalidParams", "InvalidCode")


_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).map(lambda name: f"t_{name}")
_texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30)
_modules = st.lists(st.tuples(_names, _texts, st.integers()), min_size=1, max_size=4).map(
    lambda items: (
        "\n".join(f"def {name}(x=None):\n    {doc!a}\n    return {number}" for name, doc, number in items) + "\n"
    )
)


@given(_modules)
def test_any_module_with_a_function_comes_back_unchanged(code):
    assert tools_source(code) == code


@given(_modules)
def test_code_written_as_yaml_is_the_same_code(code):
    assert tools_source(yaml.safe_dump({"code": code})) == code
