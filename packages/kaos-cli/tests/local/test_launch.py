"""A process becomes a launch: placeholders, environment, files, containers. Ports are chosen."""

import re
import socket
import sys
from pathlib import Path

import pytest

from kaos_cli.local.launch import Values, passed_on, prepare
from kaos_cli.local.ports import Ports
from kaos_cli.local.settings import Settings
from kaos_cli.target import Ref
from kaos_core.errors import KaosError
from kaos_core.program import Process

ONE = Ref("MCPServer", "default", "one")
MACHINE = {"PATH": "/usr/bin:/bin"}


def launch(process, **options):
    defaults = {"port": 18001, "cwd": Path("/work"), "folder": Path("/store/one"), "values": Values()}
    return prepare(ONE, process, **{**defaults, "machine": MACHINE, **options})


def test_placeholders_are_filled_in():
    made = launch(Process(("{python}", "-m", "server", "--port={port}")))
    assert made.argv == (sys.executable, "-m", "server", "--port=18001")


def test_a_file_is_written_in_the_store_and_the_variable_that_names_it_follows():
    env = ({"name": "PARAMS_FILE", "value": "/etc/kaos/params"}, {"name": "OTHER", "value": "/etc/kaos"})
    made = launch(Process(("x",), env=env, files={"/etc/kaos/params": "text"}))

    place = Path("/store/one/files/etc/kaos/params")
    assert dict(made.files) == {place: "text"}
    assert made.env["PARAMS_FILE"] == str(place)
    assert made.env["OTHER"] == "/etc/kaos"


def test_no_file_leads_out_of_the_folder():
    with pytest.raises(KaosError, match="would lead out"):
        launch(Process(("x",), files={"/etc/../../../x": "text"}))


def test_a_pods_own_fields_have_a_local_meaning_and_what_has_none_is_left_out():
    def field(name, path):
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    made = launch(Process(("x",), env=(field("A", "metadata.name"), field("B", "status.podIP"), field("C", "spec.x"))))
    assert {name: made.env.get(name) for name in "ABC"} == {"A": "one", "B": "127.0.0.1", "C": None}


def test_a_missing_program_is_no_local_runtime_with_both_ways_out():
    with pytest.raises(KaosError, match=r"needs npx, which is not on PATH; install it, or deploy") as caught:
        launch(Process(("npx", "x"), requires="npx"), machine={"PATH": "/nonexistent"})
    assert caught.value.reason == "NoLocalRuntime"


def test_a_container_gets_its_variables_by_name_and_no_value_as_an_argument():
    env = (
        {"name": "CODE", "value": "several\nlines"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
    )
    process = Process(
        ("--port", "{port}"), env=env, image="registry.example/x:v1", entrypoint=("serve", "now"), port=9000
    )
    made = launch(process, engine="/usr/bin/docker", values=Values({"TOKEN": "canary"}))

    assert re.sub("-[0-9a-f]{8} ", "-MARK ", " ".join(made.argv)) == (
        "/usr/bin/docker run --rm --name kaos-mcpserver-default-one-MARK -p 127.0.0.1:18001:9000 "
        "--env CODE --env TOKEN --entrypoint serve registry.example/x:v1 now --port 9000"
    )
    assert (made.env["TOKEN"], made.env["CODE"]) == ("canary", "several\nlines")
    assert dict(made.files) == {}


def test_what_a_container_gets_is_not_obeyed_by_the_client_of_its_engine():
    env = tuple({"name": name, "value": "theirs"} for name in ("PATH", "HOME", "LD_PRELOAD", "DOCKER_HOST", "OTHER"))
    machine = {"PATH": "ours", "HOME": "ours", "DOCKER_HOST": "ours"}
    made = launch(Process((), env=env, image="registry.example/x:v1"), engine="/usr/bin/docker", machine=machine)

    assert made.env == {**machine, "OTHER": "theirs"}
    given = {made.argv[place + 1] for place, part in enumerate(made.argv) if part == "--env"}
    assert given == {"PATH=theirs", "HOME=theirs", "LD_PRELOAD=theirs", "DOCKER_HOST=theirs", "OTHER"}


def test_where_the_engine_is_found_is_for_its_client_alone():
    machine = {"PATH": "p", "DOCKER_HOST": "unix:///run/user/1000/docker.sock"}
    container = launch(Process((), image="registry.example/x:v1"), engine="/usr/bin/docker", machine=machine)
    assert container.env == machine
    assert "--env" not in container.argv
    assert launch(Process(("x",)), machine=machine).env == {"PATH": "p"}


def test_two_stores_have_two_containers_for_one_name(tmp_path):
    names = [
        prepare(
            ONE,
            Process((), image="registry.example/x:v1"),
            port=18001,
            cwd=Path("/"),
            folder=tmp_path / store / "default" / "MCPServer" / "one",
            values=Values(),
            machine={},
            engine="/usr/bin/docker",
        ).container
        for store in ("a", "b")
    ]
    assert len(set(names)) == 2


def test_the_digest_follows_what_the_program_gets_and_not_this_shell():
    process = Process(("x",), env=({"name": "A", "value": "1"},))
    same = launch(process, machine={"PATH": "/other"})
    assert launch(process).digest == same.digest
    assert launch(Process(("x",), env=({"name": "A", "value": "2"},))).digest != same.digest


def test_only_variables_of_the_machine_are_passed_on():
    env = {
        "PATH": "p",
        "HOME": "h",
        "LC_ALL": "C",
        "HTTPS_PROXY": "x",
        "KUBECONFIG": "k",
        "AWS_SECRET": "s",
        "KAOS_HOME": "k",
    }
    assert set(passed_on(env)) == {"PATH", "HOME", "LC_ALL", "HTTPS_PROXY"}


def test_the_first_choice_of_a_port_follows_from_the_name():
    assert Ports(18000, 18999).choose(ONE) == Ports(18000, 18999).choose(ONE)


def test_no_two_resources_get_one_port():
    ports = Ports(18100, 18199)
    chosen = [ports.choose(Ref("MCPServer", "default", f"s{number}")) for number in range(50)]
    assert len(set(chosen)) == 50


def test_a_port_that_somebody_listens_on_is_not_chosen():
    first = Ports(18200, 18299).choose(ONE)
    with socket.create_server(("127.0.0.1", first)):
        assert Ports(18200, 18299).choose(ONE) != first


def test_without_a_free_port_the_range_is_named(local):
    port = local.free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(KaosError, match=f"every port of {port}-{port} on 127.0.0.1 is taken"),
    ):
        Ports(port, port).choose(ONE)


def test_a_setting_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="KAOS_LOCAL_POLL is 'often'; it takes a number"):
        Settings.read({"KAOS_LOCAL_POLL": "often"})
    assert Settings.read({"KAOS_GATEWAY_PORT": "5", "KAOS_LOCAL_STOP_GRACE": "1"}).gateway_port == 5
