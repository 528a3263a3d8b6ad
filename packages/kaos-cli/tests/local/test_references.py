"""Secrets and ConfigMaps on this machine: where they come from, where they end up and where they never do."""

import base64
import json

import psutil
import pytest

from kaos_cli.errors import CommandError, UsageError

CANARY = "canary-7d1f"


def secret_ref(variable, name="api", key="token", **more):
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}


def put(folder, text=CANARY, kind="secrets", name="api", key="token"):
    path = folder / ".kaos" / kind / name / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_secret_comes_from_the_folder_of_the_yaml_file_first(local, tmp_path, monkeypatch):
    put(local.folder, "beside the file")
    put(tmp_path, "current folder")
    monkeypatch.setenv("TOKEN", "environment")
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))

    assert local.ask(resource)["env"]["TOKEN"] == "beside the file"


def test_then_from_the_current_folder(local, tmp_path, monkeypatch):
    put(tmp_path, "current folder")
    monkeypatch.setenv("TOKEN", "environment")
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))

    assert local.ask(resource)["env"]["TOKEN"] == "current folder"


def test_then_from_the_variable_of_the_entrys_own_name(local, monkeypatch):
    monkeypatch.setenv("TOKEN", "environment")
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))

    assert local.ask(resource)["env"]["TOKEN"] == "environment"


def test_documents_of_the_same_apply_win_over_files(local):
    put(local.folder, "file")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "api"},
        "data": {"token": base64.b64encode(b"document").decode(), "plain": "b2xk"},
        "stringData": {"plain": "text"},
    }
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"LEVEL": "3"}}
    mode = {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}}
    server = local.plain("one", refs=[secret_ref("TOKEN"), secret_ref("PLAIN", key="plain"), mode])
    (ref,) = local.apply(secret, server, settings)
    (resource,) = local.target.wait([ref], local.PATIENCE)

    env = local.ask(resource)["env"]
    assert (env["TOKEN"], env["PLAIN"], env["LEVEL"]) == ("document", "text", "3")


def test_a_whole_secret_and_config_map_come_with_their_prefix_and_the_env_wins(local):
    put(local.folder, "a", name="all", key="ONE")
    put(local.folder, "b", name="all", key="TWO")
    put(local.folder, "c", kind="configmaps", name="settings", key="THREE")
    sources = [{"prefix": "P_", "secretRef": {"name": "all"}}, {"configMapRef": {"name": "settings"}}]
    (resource,) = local.up(local.plain("one", env={"P_TWO": "mine"}, envFrom=sources))

    env = local.ask(resource)["env"]
    assert (env["P_ONE"], env["P_TWO"], env["THREE"]) == ("a", "mine", "c")


def test_the_last_newline_of_a_file_stays_as_kubectl_from_file_keeps_it(local):
    put(local.folder, "line\n")
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))

    assert local.ask(resource)["env"]["TOKEN"] == "line\n"


def test_each_missing_key_is_named_with_where_it_was_looked_for_and_the_way_to_a_clusters(local, tmp_path):
    server = local.plain("one", refs=[secret_ref("TOKEN"), secret_ref("OTHER", name="db", key="password")])

    with pytest.raises(CommandError) as caught:
        local.apply(server)

    first, second = str(caught.value).splitlines()
    assert "Secret api has no key token (for TOKEN)" in first
    assert str(local.folder / ".kaos/secrets/api/token") in first
    assert str(tmp_path / ".kaos/secrets/api/token") in first
    assert "environment variable TOKEN" in first
    assert "Secret db has no key password" in second
    assert caught.value.hint.startswith(f"write the value into {local.folder}/.kaos/secrets/")
    assert "kubectl create secret generic api -n default --from-literal=token=…" in caught.value.hint
    assert "kubectl create secret generic db -n default --from-literal=password=…" in caught.value.hint
    assert local.store.refs() == []


def test_an_optional_reference_may_be_missing(local):
    sources = [{"secretRef": {"name": "none", "optional": True}}]
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN", optional=True)], envFrom=sources))

    assert "TOKEN" not in local.ask(resource)["env"]


def test_a_value_is_in_one_private_file_and_nowhere_else(local):
    """Oracle I5."""
    put(local.folder)
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))
    assert local.ask(resource)["env"]["TOKEN"] == CANARY

    holders = [path for path in local.store.root.rglob("*") if path.is_file() and CANARY in path.read_text()]
    assert holders == [local.store.folder(local.ref("one")) / "secrets.json"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    assert CANARY not in json.dumps(local.target.get(local.ref("one")))
    assert not [p for p in local.processes() if any(CANARY in part for part in p.cmdline())]
    supervisor = psutil.Process(local.supervisor())
    assert CANARY not in str(supervisor.environ())

    local.target.delete(local.ref("one"))
    assert not holders[0].exists()


def test_a_changed_value_restarts_the_program_at_the_next_apply(local):
    put(local.folder, "old")
    local.up(local.plain("one", refs=[secret_ref("TOKEN")]))
    put(local.folder, "new")

    refs = [secret_ref("TOKEN")]
    ((ref, outcome),) = local.target.apply([local.source(local.plain("one", refs=refs))])

    assert outcome == "configured"
    local.until(lambda: local.ask(local.target.get(ref))["env"]["TOKEN"] == "new")
    assert local.target.get(ref)["metadata"]["generation"] == 1


def test_data_of_a_secret_document_that_is_not_base64_is_refused(local):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "data": {"token": "not base64!"}}
    with pytest.raises(UsageError, match=r"Secret api: data.token is not base64"):
        local.apply(secret, local.plain("one", refs=[secret_ref("TOKEN")]))


@pytest.mark.parametrize("name", ["../api", "..", "a/b"])
def test_no_reference_reads_a_file_outside_of_its_folder(local, name):
    put(local.folder.parent, name="x", key="token")
    with pytest.raises((CommandError, UsageError)) as caught:
        local.apply(local.plain("one", refs=[secret_ref("TOKEN", name=name)]))
    assert CANARY not in str(caught.value)


def test_a_secret_file_made_with_kubectl_style_tools_is_read_byte_for_byte(local):
    put(local.folder, "ä=€ 'quoted' $HOME `x` \\n")
    (resource,) = local.up(local.plain("one", refs=[secret_ref("TOKEN")]))

    assert local.ask(resource)["env"]["TOKEN"] == "ä=€ 'quoted' $HOME `x` \\n"
