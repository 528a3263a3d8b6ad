"""`wait` tells of what was applied, never of what ran before."""

import json

SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}


def test_a_changed_secret_is_waited_for(local):
    path = local.folder / ".kaos" / "secrets" / "api" / "token"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    local.up(local.plain("one", refs=[SECRET]))
    path.write_text("new")

    (resource,) = local.up(local.plain("one", refs=[SECRET]))

    assert local.ask(resource)["env"]["TOKEN"] == "new"


def test_a_changed_folder_is_waited_for(local, tmp_path):
    local.up(local.plain("one"))
    other = tmp_path / "other"
    other.mkdir()

    (resource,) = local.up(local.plain("one"), folder=other)

    assert local.ask(resource)["cwd"] == str(other)


def test_after_a_hand_over_the_first_look_of_the_successor_is_waited_for(local):
    (resource,) = local.up(local.plain("one"))
    before = local.ask(resource)["pid"]
    local.kill_supervisor()
    # As if the successor's code planned another program.
    path = local.store.folder(local.ref("one")) / "local.json"
    record = json.loads(path.read_text())
    record["run"]["digest"] = "of an older plan"
    path.write_text(json.dumps(record))

    (resource,) = local.up(local.plain("one"))

    assert local.ask(resource)["pid"] != before


def test_a_change_of_labels_alone_is_settled_without_a_restart(local):
    (resource,) = local.up(local.plain("one"))
    pid = local.ask(resource)["pid"]
    labelled = local.plain("one")
    labelled["metadata"]["labels"] = {"team": "a"}

    (resource,) = local.up(labelled)

    assert resource["status"]["phase"] == "Ready"
    assert local.ask(resource)["pid"] == pid
