"""What happens to servers when the supervisor dies, and who looks after them then."""

import json
import os
import signal
import subprocess
import sys

START = """
import sys
from pathlib import Path
from kaos_cli.local.target import LocalTarget
from kaos_cli.target import Source
import json
document = json.loads(sys.argv[1])
LocalTarget().apply([Source(document, Path.cwd(), "test.yaml")])
"""


def test_a_killed_supervisor_leaves_its_servers_answering_and_its_successor_adopts_them(local):
    plain, _ = local.up(local.plain("plain"), local.server("forked", params=local.ADD))
    before = {name: local.running(local.ref(name))["pid"] for name in ("plain", "forked")}
    supervisor = local.supervisor()

    local.kill_supervisor()

    assert local.ask(plain)["pid"] == before["plain"]
    assert local.alive(before["forked"])
    # The next command that looks has a successor.
    found = {resource["metadata"]["name"]: resource for resource in local.target.list("MCPServer", None)}
    assert local.supervisor() != supervisor
    for name, resource in found.items():
        ready = next(local.target.wait([local.ref(name)], local.PATIENCE))
        assert ready["status"]["phase"] == "Ready"
        assert resource["status"]["endpoint"] == ready["status"]["endpoint"]
        assert local.running(local.ref(name))["pid"] == before[name]


def test_an_adopted_server_that_dies_is_started_again(local):
    (resource,) = local.up(local.plain("one"))
    local.kill_supervisor()
    local.target.list("MCPServer", None)
    before = local.ask(resource)["pid"]

    os.kill(before, signal.SIGKILL)

    local.until(lambda: local.ask(resource)["pid"] != before)


def test_down_after_a_killed_supervisor_leaves_nothing(local):
    local.up(local.plain("plain"), local.server("forked", params=local.ADD))
    local.kill_supervisor()

    local.target.down_everything()

    assert local.processes() == []


def test_a_server_whose_resource_went_while_nobody_looked_is_ended(local):
    gone, stays = local.up(local.plain("gone"), local.plain("stays"))
    pid = local.ask(gone)["pid"]
    local.kill_supervisor()
    (local.store.folder(local.ref("gone")) / "resource.yaml").unlink()

    names = [resource["metadata"]["name"] for resource in local.target.list("MCPServer", None)]

    assert names == ["stays"]
    local.until(lambda: not local.alive(pid))
    assert local.ask(stays)["pid"]


def test_a_server_that_no_record_knows_is_ended_by_the_successor(local):
    """As when the supervisor is killed between a start and the note about it."""
    (resource,) = local.up(local.plain("one"))
    before = local.ask(resource)["pid"]
    local.kill_supervisor()
    (local.store.folder(local.ref("one")) / "local.json").unlink()

    local.target.list("MCPServer", None)

    local.until(lambda: not local.alive(before))
    local.until(lambda: local.ask(resource)["pid"] != before)


def test_a_reused_process_id_costs_no_stranger_its_life(local):
    (resource,) = local.up(local.plain("one"))
    local.kill_supervisor()
    os.kill(local.ask(resource)["pid"], signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        path = local.store.folder(local.ref("one")) / "local.json"
        record = json.loads(path.read_text())
        record["run"]["pid"] = stranger.pid
        path.write_text(json.dumps(record))

        local.target.list("MCPServer", None)

        local.until(lambda: local.ask(resource)["pid"] != stranger.pid)
        local.target.delete(local.ref("one"))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_change_made_while_nobody_looked_is_applied_by_the_successor(local):
    (resource,) = local.up(local.plain("one", env={"COLOUR": "red"}))
    local.kill_supervisor()

    (resource,) = local.up(local.plain("one", env={"COLOUR": "blue"}))

    assert local.ask(resource)["env"]["COLOUR"] == "blue"
    assert len(local.pids_of_programs()) == 1


def test_commands_that_race_start_one_supervisor(local):
    documents = [local.plain(f"server-{number}") for number in range(4)]
    commands = [
        subprocess.Popen([sys.executable, "-c", START, json.dumps(document)], stderr=subprocess.PIPE, cwd=local.folder)
        for document in documents
    ]
    errors = [command.communicate(timeout=local.PATIENCE)[1] for command in commands]
    assert [command.returncode for command in commands] == [0] * 4, errors

    refs = [local.ref(f"server-{number}") for number in range(4)]
    for resource in local.target.wait(refs, local.PATIENCE):
        assert resource["status"]["phase"] == "Ready"

    # The others see that there is one, and end.
    local.until(lambda: local.running_module("kaos_cli.local.supervisor") == [local.supervisor()])


def test_a_supervisor_that_comes_second_is_left_to_end_by_itself(local):
    """As when two commands start one each and the winner takes over before the other has looked at the lock."""
    local.apply(local.plain("one"))
    local.kill_supervisor()
    root = local.store.root
    with (root / "supervisor.log").open("ab") as log:
        second = subprocess.Popen(
            [sys.executable, "-P", "-m", "kaos_cli.local.supervisor", str(root)],
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    try:
        second.send_signal(signal.SIGSTOP)

        local.target.list("MCPServer", None)
        assert local.supervisor() != second.pid

        second.send_signal(signal.SIGCONT)
        assert second.wait(local.PATIENCE) == 0
    finally:
        second.kill()
        second.wait()


def test_down_waits_for_a_supervisor_that_is_only_starting(local):
    """As after an `up` that was refused: it had one started, and wrote nothing."""
    root = local.store.root
    root.mkdir(parents=True)
    with (root / "supervisor.log").open("ab") as log:
        starting = subprocess.Popen(
            [sys.executable, "-P", "-m", "kaos_cli.local.supervisor", str(root), "fastmcp"],
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    starting.stdin.close()
    try:
        local.target.down_everything()
        assert local.processes() == []
        assert starting.wait(local.PATIENCE) == 0
    finally:
        starting.kill()
        starting.wait()


def test_a_supervisor_that_runs_other_code_hands_over_without_touching_the_servers(local, monkeypatch):
    (resource,) = local.up(local.plain("one"))
    pid, supervisor = local.ask(resource)["pid"], local.supervisor()
    # The command is of another version; what the supervisor says it keeps true itself.
    monkeypatch.setattr("kaos_cli.local.fingerprint.fingerprint", lambda: "another version")

    local.up(local.plain("two"))

    assert local.supervisor() != supervisor
    assert local.ask(resource)["pid"] == pid


def test_sigterm_ends_the_supervisor_with_its_servers_and_the_next_command_brings_them_back(local):
    (resource,) = local.up(local.plain("one"))
    pid = local.ask(resource)["pid"]

    os.kill(local.supervisor(), signal.SIGTERM)
    local.until(lambda: not local.processes())

    assert not local.alive(pid)
    local.target.list("MCPServer", None)
    local.until(lambda: local.ask(resource)["pid"] != pid)


def test_a_failed_apply_leaves_no_supervisor(local):
    bad = local.plain("one")
    bad["spec"]["tools"] = []
    try:
        local.apply(bad)
    except Exception as error:
        assert "tools" in str(error)
    else:
        raise AssertionError("an unknown field was accepted")

    local.until(lambda: not local.processes())
    assert local.store.refs() == []


def test_an_error_about_one_resource_costs_no_other_and_starts_nothing_twice(local):
    """As a plugin may raise anything."""
    broken, fine = local.up(local.plain("broken"), local.plain("fine"))
    local.kill_supervisor()
    # No status that was ever written: making the next one from it raises.
    (local.store.folder(local.ref("broken")) / "status.json").write_text('{"conditions": [1]}')

    local.target.list("MCPServer", None)
    local.until(lambda: "Traceback" in (local.store.root / "supervisor.log").read_text())

    (changed,) = local.up(local.plain("fine", env={"NEW": "1"}))
    assert local.ask(changed)["env"]["NEW"] == "1"
    assert local.ask(broken)["pid"]
    assert len(local.pids_of_programs()) == 2
    assert fine["status"]["endpoint"] == changed["status"]["endpoint"]
