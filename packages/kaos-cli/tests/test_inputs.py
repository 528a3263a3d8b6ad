"""`-f FILE|DIR|-`: only our kinds, Secrets and ConfigMaps; anything else is exit 2 and names file and line (B48)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaos_cli.errors import UsageError
from kaos_cli.inputs import MAX_BYTES, Welcome, read

if TYPE_CHECKING:
    from conftest import Kaos

HERE = Welcome(("MCPServer",), "default")
SERVER = "apiVersion: kaos.tools/v1alpha1\nkind: MCPServer\nmetadata:\n  name: {name}\nspec:\n  runtime: fetch\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: token\nstringData:\n  key: value\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n"
A, B = SERVER.format(name="a"), SERVER.format(name="b")


def refused(path: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        read([str(path)], HERE)
    return caught.value.message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "given.yaml"


def test_several_documents_of_our_kinds_and_secrets_are_read_in_order(file: Path) -> None:
    """B48."""
    file.write_text(f"{A}---\n{SECRET}---\n{B}---\n")
    assert [(item.ref.name, item.is_ours) for item in read([str(file)], HERE)] == [
        ("a", True),
        ("token", False),
        ("b", True),
    ]
    assert [item.source.origin for item in read([str(file)], HERE)] == [f"{file}:{line}" for line in (1, 8, 15)]


def test_another_kind_is_refused_by_document_and_line(file: Path) -> None:
    """B48."""
    file.write_text(f"{A}---\n{DEPLOYMENT}")
    assert refused(file) == f"{file}:9: document 2 is a Deployment (apps/v1), which has no place here"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no documents"),
        (b"---\n---\n# nothing\n", "no documents"),
        (b"\xff\xfe\x00", "1: not UTF-8 text"),
        (b"a: 1\nb: \xff\n", "2: not UTF-8 text"),
        (b"a: 1\nb: \0\n", "2: binary, not text"),
        (b"- 1\n", "1: document 1 is a list, not a resource"),
        (b"text\n", "1: document 1 is a text, not a resource"),
        (b"kind: MCPServer\n", "1: document 1 has no apiVersion"),
        (b"apiVersion: kaos.tools/v1alpha1\n", "1: document 1 has no kind"),
        (
            b"apiVersion: other/v1\nkind: MCPServer\n",
            "2: document 1 is a MCPServer (other/v1), which has no place here",
        ),
        (SERVER.format(name="[a]").encode(), "1: document 1 (MCPServer) has no metadata.name"),
        (SERVER.format(name="A_b").encode(), "4: 'A_b' is no name"),
        (SERVER.format(name="a\n  namespace: a.b").encode(), "5: 'a.b' is no namespace"),
        (SERVER.format(name="!!python/object:os.system a").encode(), "4: the tag"),
        (b"a: 1\na: 2\n", "2: the key 'a' stands twice"),
        (b"a: [1\n", "2: "),
        (f"{A}---\n{A}".encode(), "8: mcpserver/a in default stands twice, first at "),
        (SECRET.encode(), "1: only Secrets and ConfigMaps; nothing to run"),
    ],
)
def test_what_is_no_resource_is_refused_with_its_place(file: Path, content: bytes, message: str) -> None:
    """B48."""
    file.write_bytes(content)
    separator = ": " if message == "no documents" else ":"
    assert refused(file).startswith(f"{file}{separator}{message}")


def test_a_byte_order_mark_is_fine(file: Path) -> None:
    """B48."""
    file.write_bytes(b"\xef\xbb\xbf" + A.encode())
    assert len(read([str(file)], HERE)) == 1


def test_no_more_than_the_limit_is_read(file: Path) -> None:
    """B48: a file of 50 MB, and one that says it is smaller than it is."""
    with file.open("wb") as handle:
        handle.truncate(50_000_000)
    assert refused(file) == f"{file}: larger than {MAX_BYTES // 1024} KiB"


def test_a_pipe_does_not_hang_the_command(file: Path) -> None:
    """B48."""
    os.mkfifo(file)
    assert refused(file) == f"{file}: not a regular file"
    assert refused("/dev/zero") == "/dev/zero: not a regular file"


def test_a_link_to_itself_and_a_missing_file_are_refused(file: Path) -> None:
    """B48."""
    file.symlink_to(file)
    assert refused(file) == f"{file}: too many levels of symbolic links"
    assert refused(file.parent / "nosuch") == f"{file.parent / 'nosuch'}: no such file or directory"
    assert refused("") == "'' is no file name"


def test_a_folder_is_its_yaml_files_by_name(tmp_path: Path) -> None:
    """B48."""
    (tmp_path / "2.yaml").write_text(A)
    (tmp_path / "1.yml").write_text(B)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    (tmp_path / ".hidden.yaml").write_text("not: [yaml")
    assert [item.ref.name for item in read([str(tmp_path)], HERE)] == ["b", "a"]


def test_a_folder_without_yaml_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}: no *.yaml or *.yml in this folder"


def test_the_files_own_namespace_counts_unless_the_flag_overrides_it(file: Path) -> None:
    file.write_text(f"{SERVER.format(name='a')}---\n{SERVER.format(name='b' + chr(10) + '  namespace: own')}")
    spaces = [item.ref.namespace for item in read([str(file)], Welcome(("MCPServer",), "flag"))]
    assert spaces == ["flag", "own"]
    assert {item.ref.namespace for item in read([str(file)], Welcome(("MCPServer",), "flag", override=True))} == {
        "flag"
    }


def test_stdin_is_a_file_too(kaos: Kaos) -> None:
    """B48."""
    done = kaos("mcp", "deploy", "-f", "-", "--dry-run", stdin=kaos.calculator)
    assert (done.returncode, done.stderr) == (0, "")
    done = kaos("mcp", "deploy", "-f", "-", "--dry-run", stdin=b"\0" * 2_000_000)
    assert (done.returncode, done.stderr) == (2, "error: stdin: larger than 1024 KiB\n")


@pytest.mark.parametrize("command", [("up", "-d"), ("mcp", "deploy", "--local", "-f")])
def test_a_bad_file_is_exit_2_and_nothing_is_applied(kaos: Kaos, command: tuple[str, ...]) -> None:
    """B48: the first document is good, the second is not ours."""
    kaos.file("mixed.yaml", f"{kaos.calculator}---\n{DEPLOYMENT}")
    done = kaos(*command, "mixed.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: mixed.yaml:18: document 2 is a Deployment (apps/v1)" in done.stderr
    assert kaos.is_untouched()


def test_every_problem_of_every_document_is_told_with_its_line(kaos: Kaos) -> None:
    kaos.file(
        "bad.yaml", SERVER.format(name="a").replace("runtime:", "runtme:") + "---\n" + B.replace("fetch", "nosuch")
    )
    done = kaos("up", "bad.yaml")
    assert done.returncode == 2
    assert "bad.yaml:6: spec.runtme: unknown field" in done.stderr
    assert "bad.yaml:13: spec.runtime: unknown runtime: nosuch (available: [" in done.stderr
    assert kaos.is_untouched()
