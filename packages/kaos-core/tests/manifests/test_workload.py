"""The Deployment and the Service around a program."""

from __future__ import annotations

import pytest

from kaos_core.plugin import RenderedParams, Runtime, hookimpl
from kaos_core.testing import server


def pod(made) -> dict:
    return made.objects[-1]["spec"]["template"]["spec"]


@pytest.mark.parametrize("overlay", ["runAsUser: 65532", "readOnlyRootFilesystem: true"])
def test_security_defaults_meet_the_restricted_standard(planned, overlay):
    spec = pod(planned(server("foreign"), f"runtimes:\n  foreign: {{{overlay}}}\n"))
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_runtimes_uid_counts_unless_the_spec_names_one(planned):
    overlay = "runtimes:\n  foreign: {runAsUser: 65532}\n"
    assert pod(planned(server("foreign"), overlay))["securityContext"]["runAsUser"] == 65532
    named = pod(planned(server("foreign", security={"runAsUser": 7}), overlay))["securityContext"]
    assert (named["runAsUser"], named["fsGroup"]) == (7, 65532)


def test_a_read_only_root_has_a_writable_tmp(planned):
    spec = pod(planned(server("foreign", security={"readOnlyRootFilesystem": True})))
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {}}]


def test_a_tmp_of_the_users_own_stays(planned):
    patch = {"volumes": [{"name": "big", "emptyDir": {"sizeLimit": "1Gi"}}]}
    patch["containers"] = [{"name": "mcp-server", "volumeMounts": [{"name": "big", "mountPath": "/tmp"}]}]
    spec = pod(planned(server("foreign", security={"readOnlyRootFilesystem": True}, podSpec=patch)))
    assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == ["big"]
    assert [volume["name"] for volume in spec["volumes"]] == ["big"]


def test_an_image_of_the_users_own_is_not_made_read_only(planned):
    overlay = "runtimes:\n  foreign: {readOnlyRootFilesystem: true}\n"
    assert "readOnlyRootFilesystem" in pod(planned(server("foreign"), overlay))["containers"][0]["securityContext"]
    own = planned(server("foreign", container={"image": "a/b:1"}), overlay)
    assert "readOnlyRootFilesystem" not in pod(own)["containers"][0]["securityContext"]


def test_sidecars_get_the_defaults_they_leave_unset(planned):
    side = {"name": "side", "image": "a/b:1", "securityContext": {"runAsUser": 9}}
    made = planned(
        server("foreign", podSpec={"containers": [side], "initContainers": [{"name": "i", "image": "a/b:1"}]})
    )
    found = {c["name"]: c["securityContext"] for c in [*pod(made)["containers"], *pod(made)["initContainers"]]}
    assert found["side"]["runAsUser"] == 9
    assert all(context["capabilities"] == {"drop": ["ALL"]} for context in found.values())


@pytest.mark.parametrize(
    ("spec", "overlay", "mounted"),
    [({}, "false", False), ({"serviceAccountName": "sa"}, "false", True), ({}, "true", True)],
)
def test_a_token_is_mounted_only_when_it_is_needed(planned, spec, overlay, mounted):
    made = planned(server("foreign", **spec), f"runtimes:\n  foreign: {{serviceAccountToken: {overlay}}}\n")
    assert pod(made)["automountServiceAccountToken"] is mounted


def test_probes_follow_runtime_spec_and_switch(planned, weather, main_container):
    probes = main_container(planned(weather()))
    assert probes["livenessProbe"]["httpGet"]["path"] == "/health"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert probes["startupProbe"]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    own = main_container(planned(weather(healthCheck={"path": "/live", "port": 9}))).items()
    assert {
        name: (p["httpGet"]["path"], p["httpGet"]["port"]) for name, p in own if name.endswith("Probe")
    } == dict.fromkeys(("startupProbe", "livenessProbe", "readinessProbe"), ("/live", 9))
    assert not [
        name for name in main_container(planned(weather(healthCheck={"enabled": False}))) if name.endswith("Probe")
    ]
    assert main_container(planned(server("foreign")))["readinessProbe"]["tcpSocket"] == {"port": "http"}


def test_sessions_make_the_service_sticky(planned, by_kind):
    assert (
        by_kind(planned(server("foreign", transport={"sessionManagement": True}))).Service["spec"]["sessionAffinity"]
        == "ClientIP"
    )
    assert "sessionAffinity" not in by_kind(planned(server("foreign"))).Service["spec"]


def test_children_are_owned_as_soon_as_the_resource_has_a_uid(planned):
    document = server("foreign")
    assert all("ownerReferences" not in obj["metadata"] for obj in planned(document).objects)
    document["metadata"]["uid"] = "1-2"
    for obj in planned(document).objects:
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("MCPServer", "check", "1-2", True)


def test_a_restart_is_an_annotation_on_the_pods(planned):
    document = server("foreign")
    document["metadata"]["annotations"] = {"kaos.tools/restartedAt": "now", "other": "x"}
    assert planned(document).objects[-1]["spec"]["template"]["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/default-container": "mcp-server",
        "kaos.tools/restartedAt": "now",
    }


def test_privileged_containers_are_said_as_kubernetes_wants_them(planned):
    from kaos_core.settings import Settings

    patch = {"containers": [{"name": "mcp-server", "securityContext": {"privileged": True}}]}
    made = planned(server("foreign", podSpec=patch), settings=Settings(pod_security="privileged"))
    assert pod(made)["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is True


def test_a_file_is_mounted_where_the_plugin_wants_it(plugins, planned):
    """Files outside the folder of params are mounted one by one, under keys that cannot meet."""

    class Files:
        @hookimpl
        def kaos_runtimes(self):
            return [Runtime(name="files", type="python", image="a/b:1", description="Files")]

        @hookimpl
        def kaos_render_params(self, server, runtime):
            files = {"/etc/app/config.yaml": "one", "/etc/other/config.yaml": "two"}
            return RenderedParams(files=files) if runtime.name == "files" else None

    plugins.register(Files(), "files")
    made = planned(server("files", params="x"))
    config_map, mounts = made.objects[0], pod(made)["containers"][0]["volumeMounts"]
    assert {mount["mountPath"]: config_map["data"][mount["subPath"]] for mount in mounts} == {
        "/etc/app/config.yaml": "one",
        "/etc/other/config.yaml": "two",
    }
