"""The store: what is written is what is read, by its owner alone, inside its folder, whole or not at all."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_cli.errors import CommandError
from kaos_cli.local.store import Store
from kaos_cli.output import yaml_text
from kaos_cli.target import Ref
from kaos_core.documents import load_one

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=40)
WORDS = st.sampled_from(["0o17", "1e3", "1_000", "1:30", "yes", "~", "null", ".5", "2026-01-01", "=", "<<", "", "0x1F"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | WORDS, inner, max_size=3),
    max_leaves=10,
)
ONE = Ref("MCPServer", "default", "one")


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_yaml_reads_back_as_what_was_written(value):
    assert load_one(yaml_text(value)) == value


def test_code_is_written_as_a_block_for_people():
    assert "params: |\n  def f():\n    return 1\n" in yaml_text({"params": "def f():\n  return 1\n"})


@pytest.mark.parametrize("name", ["..", "a/b", "../../x", "", ".hidden", "A", "a..b", "/etc"])
def test_no_name_leads_out_of_the_store(tmp_path, name):
    with pytest.raises(CommandError, match="is no name"):
        Store(tmp_path).folder(Ref("MCPServer", "default", name))
    with pytest.raises(CommandError, match="is no name"):
        Store(tmp_path).folder(Ref("MCPServer", name, "one"))


def test_everything_is_readable_by_its_owner_alone(tmp_path):
    store = Store(tmp_path / "home")
    store.create()
    store.write_resource(ONE, {"kind": "MCPServer"})
    store.write_json(ONE, "secrets.json", {"env": {"A": "b"}})

    for path in [store.root, *store.root.rglob("*")]:
        allowed = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == allowed, path


def test_the_same_json_is_not_written_again(tmp_path):
    store = Store(tmp_path)
    store.write_json(ONE, "status.json", {"a": 1})
    before = (store.folder(ONE) / "status.json").stat().st_ino

    store.write_json(ONE, "status.json", {"a": 1})

    assert (store.folder(ONE) / "status.json").stat().st_ino == before


def test_a_json_that_was_cut_off_reads_as_empty(tmp_path):
    store = Store(tmp_path)
    store.write(store.folder(ONE) / "local.json", '{"port": 18')

    assert store.read_json(ONE, "local.json") == {}


FULL = """
import json, resource, sys
from pathlib import Path
from kaos_cli.errors import CommandError
from kaos_cli.local.target import LocalTarget
from kaos_cli.target import Source
# No file may grow any more: what a full disk is to a program.
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    LocalTarget().apply([Source(json.loads(sys.argv[1]), Path.cwd(), "test.yaml")])
except CommandError as error:
    print(str(error))
"""


def test_a_full_disk_is_one_line_that_names_the_path_and_leaves_nothing_half_written(local):
    """F49."""
    (one,) = local.up(local.plain("one"))
    changed = local.plain("one", env={"NEW": "1"})

    done = subprocess.run(
        [sys.executable, "-c", FULL, json.dumps(changed)], capture_output=True, text=True, check=True, timeout=60
    )

    (line,) = done.stdout.splitlines()
    folder = local.store.folder(local.ref("one"))
    assert line.startswith(f"cannot write {folder}")
    assert local.target.get(local.ref("one"))["metadata"]["generation"] == 1
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert local.ask(one)


def test_a_store_that_cannot_be_made_is_one_line_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "home")
    with pytest.raises(CommandError, match=f"cannot create {store.root}: "):
        store.create()


def test_the_home_is_what_kaos_home_says_else_the_platforms_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KAOS_HOME", str(tmp_path / "mine"))
    assert Store.default().root == tmp_path / "mine"
    monkeypatch.delenv("KAOS_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.default().root.is_relative_to(tmp_path)
    assert Store.default().root.name == "kaos"
    assert os.listdir(tmp_path) == []
    assert Path(Store.default().root).is_absolute()
