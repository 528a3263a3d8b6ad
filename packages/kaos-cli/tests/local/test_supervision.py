"""One resource over its life: start, exit, restart, change, stop. Every program is real."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kaos_cli.errors import NotFoundError, NotReadyError


def test_up_gives_a_ready_server_with_its_tools_and_down_leaves_nothing(local):
    (resource,) = local.up(local.server("calc", params=local.ADD))

    assert resource["status"]["phase"] == "Ready"
    assert resource["status"]["availableTools"] == ["add"]
    assert local.target.mcp_url(local.ref("calc")) == resource["status"]["endpoint"] + "/mcp"

    assert local.target.down_everything() == [local.ref("calc")]
    assert local.processes() == []
    assert local.store.refs() == []


def test_a_killed_server_comes_back_on_the_same_port(local):
    (resource,) = local.up(local.plain("one"))
    before = local.ask(resource)["pid"]

    os.kill(before, signal.SIGKILL)

    again = local.until(lambda: local.target.get(local.ref("one")) if local.ask(resource)["pid"] != before else None)
    assert again["status"]["endpoint"] == resource["status"]["endpoint"]
    local.until(lambda: local.running(local.ref("one")).get("pid") not in (None, before))
    assert local.store.read_json(local.ref("one"), "local.json")["restarts"] == 1
    local.until(lambda: local.status(local.ref("one"))["phase"] == "Ready")


def test_a_program_that_crashes_is_failed_with_its_last_line_and_is_tried_again(local):
    (resource,) = local.up(local.plain("one", env={"CRASH": "no database"}))

    assert resource["status"]["phase"] == "Failed"
    ready = local.condition(resource, "Ready")
    assert ready["reason"] == "CrashLoop"
    assert "no database" in ready["message"]
    assert "3" in ready["message"]
    local.until(lambda: local.store.read_json(local.ref("one"), "local.json")["restarts"] >= 2)


def test_exit_status_78_is_failed_with_the_programs_own_reason_and_is_not_tried_again(local):
    (resource,) = local.up(local.plain("one", env={"REFUSE": "InvalidCode: line 3: invalid syntax"}))
    local.up(local.plain("crashing", env={"CRASH": "x"}))

    ready = local.condition(resource, "Ready")
    assert (resource["status"]["phase"], ready["reason"], ready["message"]) == (
        "Failed",
        "InvalidCode",
        "line 3: invalid syntax",
    )
    # The other one shows that time enough for restarts has passed.
    local.until(lambda: local.store.read_json(local.ref("crashing"), "local.json")["restarts"] >= 3)
    assert local.log(local.ref("one")).splitlines() == ["InvalidCode: line 3: invalid syntax"]


def test_a_refused_program_starts_when_its_spec_changes(local):
    local.up(local.plain("one", env={"REFUSE": "NoTools: no function"}))

    (resource,) = local.up(local.plain("one"))

    assert resource["status"]["phase"] == "Ready"
    assert resource["metadata"]["generation"] == 2


def test_bad_code_is_failed_with_the_line(local):
    (resource,) = local.up(local.server("calc", params="def add(a, b):\n    return a +\n"))

    ready = local.condition(resource, "Ready")
    assert ready["reason"] == "InvalidCode"
    assert "line 2" in ready["message"]


def test_a_new_spec_replaces_the_program_on_the_same_port(local):
    (first,) = local.up(local.plain("one", env={"COLOUR": "red"}))
    (second,) = local.up(local.plain("one", env={"COLOUR": "blue"}))

    assert local.ask(second)["env"]["COLOUR"] == "blue"
    assert second["status"]["endpoint"] == first["status"]["endpoint"]
    assert second["status"]["observedGeneration"] == 2
    assert len(local.pids_of_programs()) == 1


def test_a_spec_that_changes_nothing_for_the_program_does_not_restart_it(local):
    (first,) = local.up(local.plain("one"))
    pid = local.ask(first)["pid"]

    (second,) = local.up(local.plain("one", gatewayRoute={"timeout": "10s"}))

    assert second["status"]["observedGeneration"] == 2
    assert second["status"]["phase"] == "Ready"
    assert local.ask(second)["pid"] == pid


def test_a_spec_that_cannot_be_planned_leaves_the_last_good_program_running(local):
    (good,) = local.up(local.plain("one"))
    pid = local.ask(good)["pid"]

    bad = local.plain("one")
    bad["spec"]["runtime"] = "no-such-runtime"
    (resource,) = local.up(bad)

    assert resource["status"]["phase"] == "Failed"
    assert local.condition(resource, "Accepted")["reason"] == "UnknownRuntime"
    assert local.ask(resource)["pid"] == pid


def test_a_resource_file_that_is_no_yaml_leaves_the_last_good_program_running(local):
    (good,) = local.up(local.plain("one"))
    path = local.store.folder(local.ref("one")) / "resource.yaml"
    text = path.read_text()
    path.write_text("{")
    local.until(lambda: "resource.yaml" in (local.store.root / "supervisor.log").read_text())

    pid = local.ask(good)["pid"]
    path.write_text(text)

    assert local.ask(good)["pid"] == pid
    assert local.target.get(local.ref("one"))["status"]["phase"] == "Ready"


def test_zero_replicas_stop_the_program_and_say_so(local):
    local.up(local.plain("one"))
    ref = local.apply(local.plain("one", replicas=0))[0]

    status = local.until(lambda: (s := local.status(ref))["observedGeneration"] == 2 and not s["replicas"] and s)
    assert status["phase"] == "Pending"
    assert {c["reason"] for c in status["conditions"] if c["type"] == "Ready"} == {"ScaledToZero"}
    assert local.pids_of_programs() == []
    with pytest.raises(NotReadyError, match="replicas is 0"):
        local.target.mcp_url(ref)


def test_a_missing_program_is_failed_with_its_name(local):
    (resource,) = local.up(
        local.server("one", container={"command": ["no-such-program"]}, validation={"enabled": False})
    )

    assert resource["status"]["phase"] == "Failed"
    assert "no-such-program" in resource["status"]["message"]


def test_deleting_drains_the_request_in_flight(local):
    (resource,) = local.up(local.plain("one"))
    answers = []
    call = threading.Thread(target=lambda: answers.append(local.ask(resource, "/drain")))
    call.start()
    local.until(lambda: "in flight" in local.log(local.ref("one")))

    local.target.delete(local.ref("one"))

    call.join(local.PATIENCE)
    assert answers == ["drained"]
    with pytest.raises(NotFoundError):
        local.target.get(local.ref("one"))


def test_a_program_that_ignores_sigterm_is_killed(local, monkeypatch):
    monkeypatch.setenv("KAOS_LOCAL_STOP_GRACE", "0.2")
    (resource,) = local.up(local.plain("one", env={"STUBBORN": "1"}))
    pid = local.ask(resource)["pid"]

    local.target.delete(local.ref("one"))

    assert not local.alive(pid)


@pytest.mark.parametrize("kind", ["group", "session"])
def test_deleting_also_ends_what_the_program_started(local, kind):
    (resource,) = local.up(local.plain("one"))
    child = local.ask(resource, f"/child/{kind}")

    local.target.delete(local.ref("one"))

    local.until(lambda: not local.alive(child))


def test_a_crash_also_ends_the_group_of_the_program(local):
    (resource,) = local.up(local.plain("one"))
    child = local.ask(resource, "/child/group")

    os.kill(local.ask(resource)["pid"], signal.SIGKILL)

    local.until(lambda: not local.alive(child))


def test_a_program_sees_what_is_declared_and_none_of_the_users_own_variables(local, monkeypatch):
    """B79."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("KUBECONFIG", "/canary")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("no_proxy", "localhost")
    (resource,) = local.up(local.plain("one", env={"DECLARED": "yes"}))

    env = local.ask(resource)["env"]
    passed_on = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    proxies = {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    declared = {name for name in env if name not in passed_on | proxies and not name.startswith(("LC_", "OTEL_"))}
    assert declared <= {"DECLARED", "__CF_USER_TEXT_ENCODING"} | local.planned_names("one")
    assert env["DECLARED"] == "yes"
    assert env["LC_TIME"] == "C"
    assert env["no_proxy"] == "localhost"
    assert "canary" not in str(env)
    supervisor = psutil.Process(local.supervisor()).environ()
    assert "canary" not in str(supervisor)


def test_a_program_runs_in_the_folder_of_its_file_and_in_a_session_of_its_own(local):
    (resource,) = local.up(local.plain("one"))

    answer = local.ask(resource)
    assert Path(answer["cwd"]) == local.folder
    assert os.getsid(answer["pid"]) == answer["pid"]


def test_a_port_that_a_stranger_took_is_replaced_and_the_log_says_so(local):
    (resource,) = local.up(local.plain("one"))
    port = int(resource["status"]["endpoint"].rpartition(":")[2])
    local.apply(local.plain("one", replicas=0))
    local.until(lambda: not local.status(local.ref("one"))["replicas"])

    with socket.create_server(("127.0.0.1", port)):
        (again,) = local.up(local.plain("one"))
        assert again["status"]["endpoint"] != resource["status"]["endpoint"]
        assert local.ask(again)["env"]
        assert f"port {port} is taken" in local.log(local.ref("one"))


def test_a_port_lost_between_our_look_and_the_start_is_replaced_and_is_no_failure(local, tmp_path):
    marker = tmp_path / "stranger"
    try:
        (ref,) = local.apply(local.plain("one", env={"LOSE": str(marker)}))
        local.until(lambda: "listening" in local.log_lines("one"))
        first = psutil.Process(int(marker.read_text())).cmdline()[-1]
        status = local.until(lambda: (s := local.status(ref))["phase"] == "Ready" and s)
        assert not status["endpoint"].endswith(f":{first}")
        assert not [line for line in local.log_lines("one") if "is started again" in line]
    finally:
        os.kill(int(marker.read_text()), signal.SIGKILL)


def test_a_port_that_is_lost_again_and_again_is_a_failure_with_a_pause(local, tmp_path):
    marker = tmp_path / "strangers"
    try:
        local.up(local.plain("one", env={"LOSE": str(marker), "LOSE_TIMES": "3"}))
        local.until(lambda: "listening" in local.log_lines("one"))
        pauses = [line for line in local.log_lines("one") if "is started again in" in line]
        assert len(pauses) == 2
    finally:
        for pid in marker.read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def test_a_program_that_leaves_a_daemon_and_ends_is_a_crash_loop_on_one_port(local, tmp_path):
    marker = tmp_path / "daemons"
    (ref,) = local.apply(local.plain("one", env={"DAEMON": str(marker)}))

    # Between two runs: while the daemon accepts and its starter has not ended yet, it does look ready.
    local.until(lambda: "CrashLoop" in {c["reason"] for c in local.status(ref)["conditions"]})
    local.until(lambda: len(marker.read_text().splitlines()) >= 3)
    pairs = [line.split() for line in marker.read_text().splitlines()]
    assert len({port for _, port in pairs}) == 1
    local.until(lambda: "is started again in 0.2 s" in local.log(local.ref("one")))
    assert not local.alive(int(pairs[0][0]))


def test_a_daemon_that_keeps_the_port_and_closes_its_output_is_ended_too(local, tmp_path):
    marker = tmp_path / "daemons"
    local.apply(local.plain("one", env={"DAEMON": str(marker), "SILENT": "1"}))

    def daemons():
        return [tuple(map(int, line.split())) for line in marker.read_text().splitlines()]

    try:
        local.until(lambda: len(daemons()) >= 3)
        assert len({port for _, port in daemons()}) == 1

        local.target.down_everything()
        assert not [pid for pid, _ in daemons() if local.alive(pid)]
    finally:
        for pid, _ in daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_program_of_the_users_own_on_the_port_of_a_server_is_left_alone(local):
    """It was started later, and the server never listened; only the environment tells it from what is ours."""
    silent = local.server("one", container={"command": ["sleep", "600"]}, validation={"enabled": False})
    (ref,) = local.apply(silent)
    port = local.until(lambda: local.running(ref))["port"]
    theirs = subprocess.Popen([sys.executable, str(local.PROGRAMS / "plain.py"), str(port)], stdout=subprocess.DEVNULL)
    try:
        local.until(lambda: local.accepts(port))
        local.target.delete(ref)
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()


def test_down_ends_also_what_no_record_knows(local):
    local.up(local.plain("one"))
    with (local.store.folder(local.ref("one")) / "log").open("a") as log:
        unknown = subprocess.Popen(["sleep", "600"], stdout=log, start_new_session=True)
    try:
        assert local.target.down_everything() == [local.ref("one")]
        assert unknown.wait(1) == -signal.SIGTERM
    finally:
        unknown.kill()
        unknown.wait()


def test_a_reader_of_the_log_is_not_taken_for_a_program_that_was_left(local):
    (resource,) = local.up(local.plain("one"))
    with (local.store.folder(local.ref("one")) / "log").open() as log:
        reader = subprocess.Popen(["sleep", "600"], stdin=log, start_new_session=True)
    try:
        before = local.ask(resource)["pid"]
        os.kill(before, signal.SIGKILL)
        local.until(lambda: local.ask(resource)["pid"] != before)
        local.target.down_everything()
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()


def test_a_hung_program_is_restarted_as_a_liveness_probe_would(local, monkeypatch):
    for name, value in {"LIVE_INTERVAL": "0.1", "LIVE_TIMEOUT": "0.5", "STOP_GRACE": "0.2"}.items():
        monkeypatch.setenv(f"KAOS_LOCAL_{name}", value)
    (resource,) = local.up(local.plain("one", healthCheck={"path": "/health"}))
    before = local.ask(resource)["pid"]

    os.kill(before, signal.SIGSTOP)

    local.until(lambda: (local.running(local.ref("one")).get("pid") or before) != before)
    local.until(lambda: local.status(local.ref("one"))["phase"] == "Ready")
    assert local.until(lambda: local.ask(resource))["pid"] != before
    assert "did not answer /health 3 times in a row" in local.log(local.ref("one"))
    assert not local.alive(before)


def test_a_hung_server_does_not_show_the_crash_of_an_earlier_run(local, monkeypatch):
    for name, value in {"PROBE_TIMEOUT": "0.3", "STOP_GRACE": "0.2"}.items():
        monkeypatch.setenv(f"KAOS_LOCAL_{name}", value)
    (resource,) = local.up(local.plain("one", healthCheck={"path": "/health"}))
    ref = local.ref("one")
    before = local.ask(resource)["pid"]
    os.kill(before, signal.SIGKILL)
    local.until(lambda: (local.running(ref).get("pid") or before) != before)
    local.until(lambda: local.status(ref)["phase"] == "Ready" and local.ask(resource))

    os.kill(local.running(ref)["pid"], signal.SIGSTOP)

    status = local.until(lambda: (s := local.status(ref))["phase"] != "Ready" and s)
    assert {c["reason"] for c in status["conditions"] if c["type"] == "Ready"} == {"Progressing"}


def test_without_a_free_port_the_status_says_so_and_it_starts_when_one_is_free(local, monkeypatch):
    port = local.free_port()
    for name in ("FIRST_PORT", "LAST_PORT"):
        monkeypatch.setenv(f"KAOS_LOCAL_{name}", str(port))
    with socket.create_server(("127.0.0.1", port)):
        (ref,) = local.apply(local.plain("one"))
        status = local.until(lambda: local.status(ref))
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert (status["phase"], ready["reason"]) == ("Pending", "Progressing")
        assert f"every port of {port}-{port}" in ready["message"]

    local.until(lambda: local.status(ref)["phase"] == "Ready")


def test_a_port_that_is_lost_without_another_one_is_told_in_the_status(local, monkeypatch):
    port = local.free_port()
    for name in ("FIRST_PORT", "LAST_PORT"):
        monkeypatch.setenv(f"KAOS_LOCAL_{name}", str(port))
    local.up(local.plain("one"))
    ref = local.apply(local.plain("one", replicas=0))[0]
    local.until(lambda: not local.status(ref)["replicas"])

    with socket.create_server(("127.0.0.1", port)):
        local.apply(local.plain("one"))
        local.until(lambda: f"every port of {port}-{port}" in local.status(ref)["message"])

    local.until(lambda: local.status(ref)["phase"] == "Ready")


def test_a_name_gets_the_same_port_after_a_deletion(local):
    (first,) = local.up(local.plain("one"))
    local.target.delete(local.ref("one"))
    (second,) = local.up(local.plain("one"))

    assert first["status"]["endpoint"] == second["status"]["endpoint"]


def test_nothing_is_written_while_nothing_happens(local):
    local.up(local.plain("one"))
    local.until(lambda: (local.store.root / "supervisor.json").exists())
    folder = local.store.folder(local.ref("one"))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    looks = local.log_lines("one")

    # Two more requests that the supervisor does not know of, and several of its looks at the store.
    local.apply(local.plain("one"))
    local.up(local.plain("two"))

    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert local.log_lines("one") == looks


def test_a_long_log_is_rotated_and_both_halves_are_read(local, monkeypatch):
    monkeypatch.setenv("KAOS_LOCAL_LOG_BYTES", "2000")
    (resource,) = local.up(local.plain("one"))
    for number in range(30):
        local.ask(resource, f"/say/line-{number:03}-{'x' * 80}")
    folder = local.store.folder(local.ref("one"))
    local.until(lambda: (folder / "log.1").exists())
    local.ask(resource, "/say/after")

    lines = local.log(local.ref("one")).splitlines()
    assert lines[-1] == "after"
    assert (folder / "log").stat().st_size < 2000


def test_following_a_log_loses_no_line_over_a_rotation(local, monkeypatch):
    monkeypatch.setenv("KAOS_LOCAL_LOG_BYTES", "2000")
    (resource,) = local.up(local.plain("one"))
    seen: list[str] = []
    lines = local.target.logs(local.ref("one"), follow=True, tail=0, previous=False)
    reader = threading.Thread(target=lambda: seen.extend(lines))
    reader.start()
    folder = local.store.folder(local.ref("one"))
    wanted = []
    while not (folder / "log.1").exists():
        wanted.append(f"line-{len(wanted)}-{'x' * 80}")
        local.ask(resource, f"/say/{wanted[-1]}")
    wanted.append("after")
    local.ask(resource, "/say/after")
    local.until(lambda: "after" in seen)

    local.target.delete(local.ref("one"))

    reader.join(local.PATIENCE)
    assert [line for line in seen if line in wanted] == wanted


def test_previous_shows_the_run_before(local):
    (resource,) = local.up(local.plain("one"))
    local.ask(resource, "/say/first-run")
    before = local.ask(resource)["pid"]
    os.kill(before, signal.SIGKILL)
    local.until(lambda: local.ask(resource)["pid"] != before)
    local.until(lambda: local.running(local.ref("one")).get("pid") not in (None, before))
    local.ask(resource, "/say/second-run")

    previous = list(local.target.logs(local.ref("one"), follow=False, tail=None, previous=True))
    assert "first-run" in previous
    assert "second-run" not in previous
