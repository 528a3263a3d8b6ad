"""YAML is read as Kubernetes reads it, and what could harm is refused with its line."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kaos_core.documents import MAX_CHARACTERS, load_all, load_one
from kaos_core.errors import DocumentError, UnsafeDocumentError

# PyYAML writes `0o7` and `1e3` as text without quotes; Kubernetes reads them as numbers, and so do we.
TEXT = st.text(max_size=20).filter(lambda text: not re.match(r"[-+.0-9]", text))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.text() | st.text("[]{}:-&*!<>?|'\"#%@` \n\tab01=~.,"))
def test_any_text_is_read_or_refused_with_a_document_error(text: str):
    try:
        load_all(text)
    except DocumentError as error:
        assert str(error)


@given(JSON)
def test_what_yaml_writes_comes_back_equal(value):
    assert load_one(yaml.safe_dump(value)) == value
    assert load_one(yaml.safe_dump(value, default_flow_style=True)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("2026-07-28", "2026-07-28"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("=", "="),
        ("!!str 1", "1"),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("\ufeffa: 1", {"a": 1}),
        ("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3", {"base": {"x": 1, "y": 2}, "mine": {"x": 1, "y": 3}}),
        (
            "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}",
            {"a": {"x": 1}, "b": {"x": 2, "y": 2}, "c": {"x": 1, "y": 2}},
        ),
        ("", None),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value):
    assert load_one(text) == value


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' stands twice"),
        ("a:\n  1: x", 2, "1 is not text"),
        ("a:\n  [1, 2]: x", 2, "a key is not text"),
        ("true: x", 1, "True is not text"),
        ("a: !secret b", 1, "'!secret' is not allowed"),
        ("a: !!binary aGk=", 1, "'!!binary' is not allowed"),
        ("a: &a [*a]", 1, "contains itself"),
        ("a: 1\n<<: [1]", 2, "<< takes a mapping"),
        ("a: [1,\nb: }", 2, "line 2"),
        ("a: *nothing", 1, "undefined alias"),
    ],
)
def test_a_refusal_names_its_line(text: str, line: int, says: str):
    with pytest.raises(DocumentError, match=re.escape(says)) as refused:
        load_all(text)
    assert refused.value.line == line


def test_a_billion_laughs_are_refused():
    """B13"""
    bomb = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))
    with pytest.raises(UnsafeDocumentError, match="more than 100,000 values with its aliases expanded"):
        load_all(bomb)


def test_python_tags_are_refused_and_run_nothing(tmp_path):
    """B14"""
    witness = tmp_path / "witness"
    with pytest.raises(UnsafeDocumentError, match=r"python/object/apply:os.system' is not allowed"):
        load_all(f"!!python/object/apply:os.system ['touch {witness}']")
    assert not witness.exists()


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_text_of_brackets_is_refused_before_it_can_end_the_process(opening: str):
    """The C composer recurses without a limit of its own: 100,000 levels end the interpreter."""
    with pytest.raises(UnsafeDocumentError, match="nested deeper than 64 levels"):
        load_all(opening * 100_000)


def test_a_large_text_is_refused_unread():
    with pytest.raises(UnsafeDocumentError, match="the limit is 1,048,576"):
        load_all("#" * (MAX_CHARACTERS + 1))


def test_a_number_of_many_digits_is_a_document_error():
    with pytest.raises(DocumentError, match="not YAML"):
        load_all("9" * 5000)


def test_documents_know_the_lines_of_their_fields():
    first, second = load_all("# c\na: 1\nlist:\n- x: 1\n- x: 2\n---\n---\nb: 2\n")
    assert (first.value, second.value) == ({"a": 1, "list": [{"x": 1}, {"x": 2}]}, {"b": 2})
    assert first.line_of(("list", 1, "x")) == 5
    assert first.line_of(("list", 1, "gone", "deeper")) == 5
    assert second.line_of(("b",)) == second.line == 8


def test_one_document_means_one():
    with pytest.raises(DocumentError, match="2 documents where one belongs") as refused:
        load_one("a: 1\n---\nb: 2")
    assert refused.value.line == 3


def test_a_line_within_a_block_is_a_line_of_the_file():
    text = "a:\n  # why\n  code: |\n\n    one\n    two\n  folded: >\n    one\n  plain: one\n"
    (document,) = load_all(text)
    assert text.splitlines()[document.line_of(("a", "code"), within=3) - 1].strip() == "two"
    assert document.line_of(("a", "code")) == 3
    # Elsewhere lines of the text are not lines of the file.
    assert document.line_of(("a", "folded"), within=1) == 7
    assert document.line_of(("a", "plain"), within=1) == 9
