"""`plan` is pure, says which layer set each field, and gives the user the last word."""

from __future__ import annotations

import pytest

from kaos_core.errors import ResourceError
from kaos_core.manifests.names import API_VERSION
from kaos_core.plugin import Runtime, hookimpl
from kaos_core.settings import Settings
from kaos_core.testing import server

CHART = "ConfigMap kaos-system/kaos-mcp-runtimes"
LABELLED = "ConfigMap kaos-system/more-1"


def test_precedence_from_the_plugins_entry_to_podspec(plugins, planned, main_container):
    """Plugin entry < chart ConfigMap < labelled ConfigMap < hook < spec.container < spec.podSpec.

    Each layer sets the image; each also leaves one field to the layer below it, so that every winner shows.
    """

    class Layers:
        @hookimpl
        def kaos_runtimes(self):
            return [
                Runtime(
                    name="layers", type="python", image="plugin/a:1", health="/plugin", path="/plugin", args=("plugin",)
                )
            ]

        @hookimpl
        def kaos_manifests(self, server, runtime, manifests):
            if runtime.name == "layers":
                program = manifests.program
                program.image, program.args = "hook/a:1", ["hook"]
                program.set_env([{"name": name, "value": "hook"} for name in ("HOOK", "CONTAINER", "PODSPEC")])

    plugins.register(Layers(), "layers")
    chart = "runtimes:\n  layers: {image: 'chart/a:1', path: /chart, port: 9001}\n"
    labelled = "runtimes:\n  layers: {image: 'labelled/a:1', port: 9002, args: [labelled]}\n"
    container = {"image": "container/a:1", "env": [{"name": n, "value": "container"} for n in ("CONTAINER", "PODSPEC")]}
    main = {"name": "mcp-server", "image": "podspec/a:1", "env": [{"name": "PODSPEC", "value": "podspec"}]}

    def layered(**spec):
        return planned(server("layers", **spec), chart, labelled)

    everything = layered(container=container, podSpec={"containers": [main]})
    found = main_container(everything)
    assert found["image"] == "podspec/a:1"
    assert {entry["name"]: entry.get("value") for entry in found["env"]}.items() >= {
        "HOOK": "hook",
        "CONTAINER": "container",
        "PODSPEC": "podspec",
    }.items()
    assert found["args"] == ["hook"]
    assert found["ports"][0]["containerPort"] == 9002
    assert everything.path == "/chart"

    origins = everything.origins
    image = "Deployment.spec.template.spec.containers[mcp-server].image"
    assert origins[image] == "spec.podSpec"
    assert origins["Deployment.spec.template.spec.containers[mcp-server].env[PODSPEC].value"] == "spec.podSpec"
    assert origins["image"] == "spec.container"
    assert origins["env.CONTAINER"] == origins["env.PODSPEC"] == "spec.container"
    assert origins["env.HOOK"] == origins["args"] == "hook layers"
    assert origins["port"] == LABELLED
    assert origins["path"] == CHART

    assert main_container(layered(container=container))["image"] == "container/a:1"
    assert (main_container(layered())["image"], layered().origins["image"]) == ("hook/a:1", "hook layers")
    assert layered().origins["health"] == "plugin layers"

    plugins.register(QuietLayers(), "quiet")
    quiet = [server("quiet"), chart.replace("layers", "quiet"), labelled.replace("layers", "quiet")]
    assert (main_container(planned(*quiet))["image"], planned(*quiet).origins["image"]) == ("labelled/a:1", LABELLED)
    assert (main_container(planned(*quiet[:2]))["image"], planned(*quiet[:2]).origins["image"]) == ("chart/a:1", CHART)
    assert (main_container(planned(quiet[0]))["image"], planned(quiet[0]).origins["image"]) == (
        "plugin/a:1",
        "plugin quiet",
    )


class QuietLayers:
    """The same entry without a hook above it."""

    @hookimpl
    def kaos_runtimes(self):
        return [Runtime(name="quiet", type="python", image="plugin/a:1")]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "kind: None is none of Agent, MCPServer, ModelAPI"),
        ({"kind": ["x"]}, "is none of Agent"),
        ({"kind": "Pod", "apiVersion": "v1"}, "kind: 'Pod' is none of"),
        ({"kind": "Agent", "apiVersion": "v1"}, f"Agent has apiVersion {API_VERSION}, found 'v1'"),
    ],
)
def test_other_documents_are_refused(planned, document, says):
    with pytest.raises(ResourceError) as refused:
        planned(document)
    assert says in str(refused.value)


def test_a_process_runs_the_local_command_with_all_arguments(planned, weather):
    made = planned(weather(params="x"))
    assert made.process.argv == ("{python}", "-m", "weather", "--port", "{port}", "--port", "{port}", "--with-params")
    assert made.process.image == ""
    assert {"name": "WEATHER_LOCAL", "value": "1"} in made.process.env
    assert (made.process.health, made.process.ready, made.process.path) == ("/health", "/ready", "/mcp")


def test_an_image_of_the_users_own_needs_a_container_on_this_machine(planned, weather, main_container):
    made = planned(weather(container={"image": "a/b:1", "env": [{"name": "WEATHER_API_KEY", "value": "x"}]}))
    assert (made.process.image, made.process.entrypoint) == ("a/b:1", ())
    assert made.process.argv == ("--port", "{port}")
    assert made.process.health is None
    assert "tcpSocket" in main_container(made)["livenessProbe"]


def test_a_command_of_the_users_own_runs_as_it_is(planned, main_container):
    container = {"command": ["my-server"], "args": ["--listen", "{port}"]}
    made = planned(server("foreign", container=container))
    assert made.process.argv == ("my-server", "--listen", "{port}")
    assert main_container(made)["command"] == ["my-server"]
    assert main_container(made)["args"] == ["--listen", "8000"]


def test_an_empty_command_is_the_images_own(planned, main_container):
    """B31"""
    overlay = "runtimes:\n  foreign: {command: [run], args: [a]}\n"
    assert main_container(planned(server("foreign"), overlay))["command"] == ["run"]
    emptied = main_container(planned(server("foreign", container={"command": [], "args": []}), overlay))
    assert "command" not in emptied
    assert "args" not in emptied
    local = planned(server("foreign", container={"command": []}), overlay).process
    assert local.argv[0] == "{python}"


def test_an_empty_podspec_changes_nothing(planned, weather):
    """B33"""
    assert planned(weather(podSpec={})).objects == planned(weather()).objects


@pytest.mark.parametrize(
    ("pod_spec", "path"),
    [
        ({"containers": "x"}, "spec.podSpec.containers"),
        ({"volumes": "abc"}, "spec.podSpec.volumes"),
        ({"volumes": [{}]}, "spec.podSpec.volumes[0]"),
        ({"initContainers": {"a": 1}}, "spec.podSpec.initContainers"),
        ({"securityContext": "none"}, "spec.podSpec.securityContext"),
        ({"securityContext": {"seccompProfile": "x"}}, "spec.podSpec.securityContext.seccompProfile"),
        ({"containers": [{"name": "s", "securityContext": []}]}, "spec.podSpec.containers[s].securityContext"),
        (
            {"containers": [{"name": "s", "securityContext": {"capabilities": {"add": "ALL"}}}]},
            "spec.podSpec.containers[s].securityContext.capabilities.add",
        ),
        ({"containers": [{"name": "s", "ports": "8000"}]}, "spec.podSpec.containers[s].ports"),
        ({"containers": [{"name": "mcp-server", "env": {"A": "1"}}]}, "spec.podSpec.containers[mcp-server].env"),
    ],
)
def test_a_podspec_that_cannot_merge_is_a_problem_and_never_dropped(planned, weather, pod_spec, path):
    """B34"""
    made = planned(weather(podSpec=pod_spec))
    assert [(problem.reason, problem.path) for problem in made.errors] == [("InvalidPodSpec", path)]
    assert made.objects == ()


@pytest.mark.parametrize(
    "pod_spec",
    [
        {"containers": [{"name": "mcp-server", "$patch": "delete"}]},
        {"containers": [{"$patch": "replace"}, {"name": "other", "image": "a/b:1"}]},
        {"containers": None},
        {"$patch": "replace", "containers": []},
        {"$patch": "delete"},
        {"$retainKeys": ["volumes"]},
        {"ephemeralContainers": [{"name": "debug", "image": "a/b:1"}]},
    ],
)
def test_the_main_container_stays_and_none_is_ephemeral(planned, weather, reasons, pod_spec):
    """B36"""
    assert set(reasons(planned(weather(podSpec=pod_spec)))) == {"InvalidPodSpec"}


def test_podspec_may_change_the_image_of_the_main_container(planned, weather, main_container):
    """B36, as the design has it."""
    patch = {"containers": [{"name": "mcp-server", "image": "other/image:2"}, {"name": "side", "image": "a/b:1"}]}
    made = planned(weather(podSpec=patch))
    assert made.errors == []
    assert main_container(made)["image"] == "other/image:2"


@pytest.mark.parametrize("key", ["metadata", "spec", "template"])
def test_podspec_is_no_pod_template(planned, weather, reasons, key):
    """B37: labels and selector are out of its reach."""
    made = planned(weather(podSpec={key: {"labels": {"mcpserver": "other"}}}))
    assert reasons(made) == ["InvalidPodSpec"]
    assert made.errors[0].path == f"spec.podSpec.{key}"


@pytest.mark.parametrize(
    ("pod_spec", "control"),
    [
        ({"hostNetwork": True}, "hostNamespaces (hostNetwork)"),
        ({"hostPID": True}, "hostNamespaces (hostPID)"),
        ({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, "hostPathVolumes (volume h)"),
        ({"containers": [{"name": "mcp-server", "securityContext": {"privileged": True}}]}, "privileged"),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser"),
        (
            {"containers": [{"name": "mcp-server", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
            "adds SYS_ADMIN",
        ),
        ({"containers": [{"name": "mcp-server", "securityContext": {"procMount": "Unmasked"}}]}, "procMount"),
    ],
)
def test_what_the_namespace_does_not_allow_is_named_by_control(planned, weather, reasons, pod_spec, control):
    """B35"""
    made = planned(weather(podSpec=pod_spec))
    assert reasons(made) == ["PodSecurityViolation"]
    assert control in made.errors[0].message
    assert "kaos.tools/pod-security=" in made.errors[0].hint
    assert planned(weather(podSpec=pod_spec), settings=Settings(pod_security="privileged")).errors == []


def test_a_log_level_is_everybodys_default(planned, weather, main_container):
    settings = Settings(log_level="DEBUG")
    assert {"name": "LOG_LEVEL", "value": "DEBUG"} in main_container(planned(weather(), settings=settings))["env"]
    own = planned(weather(env=[{"name": "LOG_LEVEL", "value": "INFO"}]), settings=settings)
    assert [e for e in main_container(own)["env"] if e["name"] == "LOG_LEVEL"] == [
        {"name": "LOG_LEVEL", "value": "INFO"}
    ]


@pytest.mark.parametrize("name", ["1a", "a.b.c", "a" * 63, "a" * 64, "b" * 253, "default", "kube-root-ca.crt"])
def test_any_legal_name_makes_legal_children(planned, weather, name):
    """B19, B20"""
    document = weather(params="x" * 70_000)
    document["metadata"]["name"] = name
    made = planned(document)
    assert made.errors == []
    for child in made.objects:
        assert len(child["metadata"]["name"]) <= (253 if child["kind"] == "ConfigMap" else 63)
        assert child["metadata"]["name"].startswith("mcpserver-")


def test_long_names_with_one_beginning_do_not_meet(planned, weather):
    """B19"""
    children = set()
    for end in ("x", "y"):
        document = weather()
        document["metadata"]["name"] = "a" * 80 + end
        made = planned(document)
        children.add((made.objects[-1]["metadata"]["name"], str(made.objects[-1]["spec"]["selector"])))
    assert len({name for name, _ in children}) == len({selector for _, selector in children}) == 2
