"""What each hook may do, shown on the reference plugin; every hook has its test here."""

from __future__ import annotations

import inspect

from kaos_core import hookspecs, plugin
from kaos_core.errors import KaosError
from kaos_core.hookspecs import GROUP, hookimpl
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry

HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, f"{GROUP}_spec")]


def test_every_hook_has_a_test_and_a_complete_example():
    assert HOOKS == ["kaos_runtimes", "kaos_validate", "kaos_render_params", "kaos_manifests", "kaos_commands"]
    for name in HOOKS:
        assert f"test_hook_{name}" in globals()
        documentation = inspect.getdoc(getattr(hookspecs, name)) or ""
        assert "Called " in documentation
        signature = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
        assert f"@hookimpl\n    def {name}({signature}):" in documentation


def test_the_reference_plugin_has_every_hook(reference_plugin):
    assert all(hasattr(reference_plugin, name) for name in HOOKS)


def test_everything_an_author_needs_is_in_one_module():
    for name in plugin.__all__:
        assert getattr(plugin, name).__doc__ or name == "hookimpl"


def test_hook_kaos_runtimes(registry: Registry):
    entry = registry.get("weather")
    assert (entry.plugin, entry.runtime.args) == ("weather", ("--port", "{port}"))


def test_hook_kaos_validate(planned, weather, reasons):
    warned = planned(weather(serviceAccountName="x", params="a"))
    assert [(problem.severity, problem.reason) for problem in warned.problems] == [("warning", "Needless")]
    assert warned.objects
    refused = planned(weather(params="refused"))
    assert reasons(refused) == ["InvalidParams"]
    assert refused.objects == ()


def test_hook_kaos_render_params(planned, weather, main_container):
    container = main_container(planned(weather(params="  units: metric\n")))
    assert {"name": "WEATHER_PARAMS", "value": "units: metric"} in container["env"]
    assert container["args"] == ["--port", "8000", "--with-params"]


def test_params_go_verbatim_where_no_plugin_renders_them(planned, main_container):
    from kaos_core.testing import server

    assert main_container(planned(server("foreign", params=" x\n")))["env"][0] == {"name": "FOREIGN", "value": " x\n"}


def test_params_that_a_plugin_refuses_are_the_users_problem(plugins: Plugins, planned, weather, reasons):
    class Refusing:
        @hookimpl(tryfirst=True)
        def kaos_render_params(self, server, runtime):
            raise KaosError("line 2: no such unit", reason="InvalidParams", hint="say metric")

    plugins.register(Refusing(), "refusing")
    (problem,) = planned(weather(params="x")).errors
    assert (problem.reason, problem.path, problem.hint) == ("InvalidParams", "spec.params", "say metric")


def test_the_first_rendering_wins(plugins: Plugins, planned, weather, main_container):
    class First:
        @hookimpl(tryfirst=True)
        def kaos_render_params(self, server, runtime):
            server["spec"].clear()  # a copy: nobody else sees it
            return hookspecs.RenderedParams(env={"FIRST": "1"})

    plugins.register(First(), "zz")
    names = [entry["name"] for entry in main_container(planned(weather(params="x")))["env"]]
    assert "FIRST" in names
    assert "WEATHER_PARAMS" not in names


def test_hook_kaos_manifests(planned, weather, by_kind, main_container):
    made = planned(weather(params="x"))
    assert by_kind(made).Deployment["metadata"]["annotations"] == {"team": "weather"}
    assert {"name": "WEATHER_UNITS", "value": "metric"} in main_container(made)["env"]
    assert {"name": "WEATHER_UNITS", "value": "metric"} in made.process.env
    assert made.origins["env.WEATHER_UNITS"] == "hook weather"
    assert made.origins["Deployment.metadata.annotations.team"] == "hook weather"


def test_a_hook_may_add_objects_of_its_own(plugins: Plugins, planned, weather):
    class Adding:
        @hookimpl
        def kaos_manifests(self, server, runtime, manifests):
            extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"a": "b"}}
            manifests.extra.append(extra)

    plugins.register(Adding(), "adding")
    document = weather(params="x")
    document["metadata"]["uid"] = "1-2-3"
    (extra,) = [obj for obj in planned(document).objects if obj["kind"] == "ConfigMap"]
    assert extra["metadata"]["name"] == "extra"
    assert extra["metadata"]["labels"]["mcpserver"] == "check"
    assert extra["metadata"]["ownerReferences"][0]["uid"] == "1-2-3"


def test_hook_kaos_commands(plugins: Plugins):
    ((command, provider),) = plugins.commands()
    assert (command.name, provider) == ("weather", "weather")
    assert callable(command.load())
