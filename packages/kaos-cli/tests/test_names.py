"""Names and values on the command line: a bad one is exit 2 and nothing has been done (B46, B49)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_cli.errors import UsageError
from kaos_cli.names import env_entry, namespace_name, resource_name
from kaos_core.documents import load_one

if TYPE_CHECKING:
    from conftest import Kaos

BAD = [
    "--all",
    "-A",
    "a b",
    "a;b",
    "$(x)",
    "../a",
    "a/b",
    "",
    "A",
    "a_b",
    ".a",
    "a.",
    "-a",
    "a..b",
    "é",
    "a\nb",
    "a" * 254,
    "*",
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_refused(name: str) -> None:
    """B46."""
    with pytest.raises(UsageError):
        resource_name(name)


@pytest.mark.parametrize("name", ["a", "a-b", "a.b", "0", "a" * 253, "k8s-tools.v1"])
def test_a_dns_subdomain_is_a_name(name: str) -> None:
    assert resource_name(name) == name


@pytest.mark.parametrize("name", ["a.b", "a" * 64, "A", "", "-n"])
def test_a_namespace_is_a_label(name: str) -> None:
    with pytest.raises(UsageError):
        namespace_name(name)


@pytest.mark.parametrize("verb", ["get", "logs", "delete", "tools", "invoke", "deploy"])
@pytest.mark.parametrize("name", ["--all", "-A", "a;b", "../a", ""])
def test_a_bad_name_is_exit_2_before_anything_is_done(kaos: Kaos, verb: str, name: str) -> None:
    """B46."""
    done = kaos("mcp", verb, "--local", "--", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"error: {name!r} is no name" in done.stderr
    assert kaos.is_untouched()


def test_delete_all_is_no_way_to_delete_all(kaos: Kaos) -> None:
    """B46: without the `--` it is an option that does not exist."""
    done = kaos("mcp", "delete", "--all", "--local")
    assert done.returncode == 2
    assert "--all" in done.stderr


@pytest.mark.parametrize("text", ["FOO", "=x", "", "A B=c", "1A=b", "A\n=b"])
def test_an_env_without_a_name_and_a_value_is_refused(text: str) -> None:
    """B49."""
    with pytest.raises(UsageError):
        env_entry(text)


def test_everything_after_the_first_equals_sign_is_the_value() -> None:
    """B49."""
    assert env_entry("A=b=c") == {"name": "A", "value": "b=c"}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_value_stays_exactly_as_it_is(value: str) -> None:
    """B49."""
    assert env_entry(f"A={value}")["value"] == value


@pytest.mark.parametrize(
    "value", ["two\nlines\n", 'it\'s "quoted"', "yes", "1e3", "0o17", "a: b", "  x", "# no", "~", "@x"]
)
def test_an_env_value_is_printed_as_yaml_that_reads_back(kaos: Kaos, value: str) -> None:
    """B49."""
    done = kaos("mcp", "deploy", "x", "--image", "x:1", "--env", f"A={value}", "--dry-run")
    assert done.returncode == 0
    assert load_one(done.stdout)["spec"]["container"]["env"] == [{"name": "A", "value": value}]


def test_an_env_given_twice_is_refused(kaos: Kaos) -> None:
    done = kaos("mcp", "deploy", "x", "--image", "x:1", "--env", "A=1", "--env", "A=2", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--env A is given twice" in done.stderr
