"""LocalTarget as commands use it."""

import json
import os
import subprocess
import sys

import pytest

from kaos_cli.errors import NotFoundError, NotReadyError, UsageError
from kaos_cli.target import Ref

HEAVY = ["fastmcp", "starlette", "uvicorn", "httpx2", "pydantic", "mcp"]


def test_apply_says_what_it_did_and_counts_generations_of_the_spec_alone(local):
    def apply(document):
        ((_, outcome),) = local.target.apply([local.source(document)])
        return outcome, local.store.resource(local.ref("one"))["metadata"]["generation"]

    document = local.plain("one")
    labelled = {**document, "metadata": {"name": "one", "labels": {"team": "a"}}}
    assert apply(document) == ("created", 1)
    assert apply(document) == ("unchanged", 1)
    assert apply(labelled) == ("configured", 1)
    assert apply(local.plain("one", env={"NEW": "1"})) == ("configured", 2)


def test_the_uid_and_the_creation_time_stay_until_it_is_deleted(local):
    local.up(local.plain("one"))
    first = local.target.get(local.ref("one"))["metadata"]
    local.up(local.plain("one", env={"NEW": "1"}))
    second = local.target.get(local.ref("one"))["metadata"]
    local.target.delete(local.ref("one"))
    local.up(local.plain("one"))
    third = local.target.get(local.ref("one"))["metadata"]

    assert (first["uid"], first["creationTimestamp"]) == (second["uid"], second["creationTimestamp"])
    assert third["uid"] != first["uid"]
    assert third["generation"] == 1


def test_apply_writes_all_or_nothing(local):
    bad = local.plain("bad")
    bad["spec"]["tools"] = []
    with pytest.raises(UsageError, match=r"spec\.tools"):
        local.apply(local.plain("good"), bad)

    assert local.store.refs() == []


def test_get_gives_what_was_applied_with_a_status_and_nothing_of_this_machine(local):
    document = local.plain("one")
    (resource,) = local.up(document)

    assert resource == local.target.get(local.ref("one"))
    assert set(resource) == {"apiVersion", "kind", "metadata", "spec", "status"}
    assert resource["spec"] == document["spec"]
    assert str(local.folder) not in json.dumps(resource["metadata"])


def test_list_is_by_kind_and_namespace_in_order(local):
    other = local.plain("a")
    other["metadata"]["namespace"] = "zoo"
    local.apply(local.plain("b"), other, local.plain("a"))

    def names(namespace):
        found = local.target.list("MCPServer", namespace)
        return [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in found]

    assert names(None) == [("default", "a"), ("default", "b"), ("zoo", "a")]
    assert names("default") == [("default", "a"), ("default", "b")]
    assert local.target.list("Agent", None) == []


def test_a_missing_resource_is_told_with_those_that_exist(local):
    local.apply(local.plain("one"))
    for ask in (local.target.get, local.target.delete, local.target.mcp_url):
        with pytest.raises(NotFoundError, match=r"mcpserver/two not found in namespace default; there are: one"):
            ask(local.ref("two"))


def test_a_server_that_is_not_ready_has_no_url_but_a_reason(local):
    local.up(local.plain("one", env={"REFUSE": "NoTools: no function"}))
    with pytest.raises(NotReadyError, match="no function"):
        local.target.mcp_url(local.ref("one"))


def test_wait_gives_what_is_there_when_the_seconds_are_over(local):
    silent = local.server("silent", container={"command": ["sleep", "600"]}, validation={"enabled": False})
    refs = local.apply(silent)

    (resource,) = local.target.wait(refs, 0.5)

    assert resource.get("status", {}).get("phase") != "Ready"


def test_wait_tells_those_first_that_are_done_first(local):
    silent = local.server("silent", container={"command": ["sleep", "600"]}, validation={"enabled": False})
    refs = local.apply(silent, local.plain("zero", replicas=0), local.plain("one"))

    told = local.target.wait(refs, local.PATIENCE)

    assert {next(told)["metadata"]["name"], next(told)["metadata"]["name"]} == {"one", "zero"}


def test_a_runtime_that_needs_a_program_that_is_missing_says_both_ways_out(local, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    container = {"image": "registry.example/weather:v1"}
    (resource,) = local.up(local.server("one", container=container, params=local.ADD))

    ready = local.condition(resource, "Ready")
    assert ready["reason"] == "NoLocalRuntime"
    assert "docker" in ready["message"]
    assert "podman" in ready["message"]
    assert "cluster" in ready["message"]


def test_an_agent_says_that_it_cannot_run_here(local, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    model = {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": "ModelAPI",
        "metadata": {"name": "model"},
        "spec": {"mode": "Hosted", "hostedConfig": {"model": "smollm2:135m"}},
    }
    (resource,) = local.up(model)

    assert resource["status"]["phase"] == "Failed"
    assert local.condition(resource, "Ready")["reason"] == "NoLocalRuntime"


def test_commands_that_only_look_load_nothing_heavy(local):
    local.up(local.plain("one"))
    code = f"""
import sys
from kaos_cli.local.target import LocalTarget
from kaos_cli.target import Ref
target = LocalTarget()
assert len(target.list("MCPServer", None)) == 1
target.get(Ref("MCPServer", "default", "one"))
list(target.logs(Ref("MCPServer", "default", "one"), follow=False, tail=1, previous=False))
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_looking_at_an_empty_store_starts_and_writes_nothing(local):
    assert local.target.list("MCPServer", None) == []
    assert local.target.down_everything() == []
    assert not local.store.root.exists()


def test_tail_gives_the_last_lines(local):
    (resource,) = local.up(local.plain("one"))
    for word in ("a", "b", "c"):
        local.ask(resource, f"/say/{word}")

    def tail(number):
        return list(local.target.logs(local.ref("one"), follow=False, tail=number, previous=False))

    assert tail(2) == ["b", "c"]
    assert tail(0) == []
    assert tail(None) == ["listening", "a", "b", "c"]


def test_a_module_in_the_working_folder_does_not_stand_in_for_one_of_ours(local, tmp_path):
    for name in ("kaos_cli.py", "yaml.py", "asyncio.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
        (local.folder / name).write_text("raise SystemExit('the wrong module')")

    (resource,) = local.up(local.server("calc", params=local.ADD))

    assert resource["status"]["phase"] == "Ready"


def test_deleting_one_leaves_the_others(local):
    one, two = local.up(local.plain("one"), local.plain("two"))
    local.target.delete(local.ref("one"))

    assert local.ask(two)["pid"]
    assert not os.path.exists(local.store.root / "default" / "MCPServer" / "one")
    assert one["status"]["endpoint"] != two["status"]["endpoint"]
    assert local.store.refs() == [Ref("MCPServer", "default", "two")]
