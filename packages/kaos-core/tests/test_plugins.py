"""Plugins load one by one; a broken one costs only itself and is remembered."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import pytest

from kaos_core.errors import PluginError
from kaos_core.overdue import OverdueError, at_most
from kaos_core.plan import plan
from kaos_core.plugin import Runtime, hookimpl
from kaos_core.plugins import Plugins
from kaos_core.registry import Registry
from kaos_core.testing import builtin_plugins, server

GOOD = """\
from kaos_core.plugin import Runtime, hookimpl

@hookimpl
def kaos_runtimes():
    return [Runtime(name="good", type="python", image="a.example/good:1", description="good")]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution with one module and one entry point of the group `kaos` on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(name: str, code: str, distribution: str = "") -> None:
        distribution = distribution or f"kaos-runtime-{name}"
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[kaos]\n{name} = {module}\n")

    yield make
    for module in set(sys.modules) - before:
        if (getattr(sys.modules[module], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[module]


def failures(plugins: Plugins) -> dict[str, str]:
    return {failure.name: failure.error for failure in plugins.failures}


def test_the_core_itself_is_plugins_like_any_other():
    plugins = Plugins.installed({})
    assert {"agent", "custom", "mcpserver", "modelapi"} <= set(plugins.names())
    assert {"Agent", "MCPServer", "ModelAPI"} <= plugins.kinds().keys()
    assert plugins.label("custom").startswith("kaos-tools-core ")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('no\\n luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (GOOD.replace("kaos_runtimes", "kaos_runtimez"), "unknown hook 'kaos_runtimez'"),
        (GOOD.replace("kaos_runtimes()", "kaos_runtimes(cluster)"), "Argument(s) {'cluster'} are declared"),
        (GOOD.replace("@hookimpl", "@hookimpl(wrapper=True)"), "kaos_runtimes"),
        (
            "from kaos_core.plugin import hookimpl\n@hookimpl(wrapper=True)\ndef kaos_commands():\n    yield\n",
            "kaos_commands is a wrapper; order hooks with tryfirst and trylast",
        ),
    ],
)
def test_a_plugin_that_is_broken_at_import_costs_only_itself(install, code: str, says: str):
    """F26: raises, exits, misspelt hook, wrong argument, wrapper."""
    install("bad", code)
    install("good", GOOD)
    plugins = Plugins.installed({})
    assert says in failures(plugins)["bad"]
    assert "\n" not in failures(plugins)["bad"]
    assert "bad" not in plugins.names()
    registry = Registry.build(plugins)
    assert registry.get("good").origin == "plugin kaos-runtime-good 1.0"
    (info,) = [info for info in plugins.infos() if info.name == "bad"]
    assert (info.distribution, info.version, info.failure) == ("kaos-runtime-bad", "1.0", failures(plugins)["bad"])


def test_strict_mode_refuses_a_broken_plugin(install):
    install("bad", "raise RuntimeError('no')")
    with pytest.raises(
        PluginError, match=r"plugin bad \(kaos-runtime-bad 1\.0\) failed to load: RuntimeError: no"
    ) as e:
        Plugins.installed({"KAOS_STRICT_PLUGINS": "1"})
    assert e.value.plugin == "bad"


def test_a_disabled_plugin_is_not_even_imported(install):
    install("bad", "raise RuntimeError('no')")
    plugins = Plugins.installed({"KAOS_DISABLED_PLUGINS": "x, bad"})
    assert "bad" not in failures(plugins)
    assert "kaos_runtime_bad" not in sys.modules


def test_an_interrupt_during_import_is_an_interrupt(install):
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Plugins.installed({})


def test_two_distributions_with_one_plugin_name_the_first_keeps_it_and_the_second_is_not_imported(install):
    """B87"""
    install("good", GOOD, "aa-first")
    install("good", "raise RuntimeError('imported')", "zz-second")
    plugins = Plugins.installed({})
    (failure,) = [failure for failure in plugins.failures if failure.name == "good"]
    assert (failure.distribution, failure.error) == (
        "zz-second",
        "the name good is taken by aa-first 1.0, which keeps it",
    )
    assert Registry.build(plugins).get("good").plugin == "good"
    infos = [(info.distribution, bool(info.failure)) for info in plugins.infos() if info.name == "good"]
    assert sorted(infos) == [("aa-first", False), ("zz-second", True)]


def test_registering_a_name_twice_leaves_the_first_as_it_was(plugins: Plugins):
    plugins.register(object(), "weather")
    assert "taken by kaos-runtime-weather 1.0" in failures(plugins)["weather"]
    assert Registry.build(plugins).get("weather")


def test_plugins_are_called_by_name_with_tryfirst_before_and_trylast_after():
    plugins = builtin_plugins()
    for name, options in {
        "b": {},
        "c": {"tryfirst": True},
        "a": {},
        "aa": {"trylast": True},
        "d": {"tryfirst": True},
    }.items():

        class Plugin:
            @hookimpl(**options)
            def kaos_commands(self):
                return []

        plugins.register(Plugin(), name)
    assert [item.plugin for item in plugins.implementations("kaos_commands")] == ["c", "d", "a", "b", "aa"]


def test_an_info_lists_what_a_plugin_offers(plugins: Plugins):
    (info,) = [info for info in plugins.infos() if info.name == "weather"]
    assert info.hooks == ("kaos_commands", "kaos_manifests", "kaos_render_params", "kaos_runtimes", "kaos_validate")
    assert (info.runtimes, info.commands, info.failure) == (("weather",), ("weather",), "")
    assert plugins.module("weather").kaos_commands()[0].load()(1) == "1"


def broken(hook: str, outcome):
    """A plugin with a runtime of its own, one hook of which does not work."""

    class Broken:
        @hookimpl
        def kaos_runtimes(self):
            if hook == "kaos_runtimes":
                return outcome()
            return [Runtime(name="mine", type="python", image="a.example/mine:1", params_env_var="P")]

    def simple(self):
        return outcome()

    def about(self, server, runtime):
        return outcome()

    def editing(self, server, runtime, manifests):
        return outcome(manifests)

    by_hook = {"kaos_validate": about, "kaos_render_params": about, "kaos_manifests": editing, "kaos_commands": simple}
    if hook in by_hook:
        setattr(Broken, hook, hookimpl(by_hook[hook]))
    return Broken()


def boom(*_):
    raise ValueError("two\nlines")


def leave(*_):
    sys.exit(1)


@pytest.mark.parametrize("outcome", [boom, leave, lambda *_: 5])
@pytest.mark.parametrize("hook", ["kaos_runtimes", "kaos_commands"])
def test_an_offer_that_fails_costs_only_its_plugin(plugins: Plugins, hook: str, outcome):
    """F26"""
    plugins.register(broken(hook, outcome), "broken")
    registry = Registry.build(plugins)
    assert [command.name for command, _ in plugins.commands()] == ["weather"]
    assert registry.get("weather")
    assert set(failures(plugins)) == {"broken"}
    assert "\n" not in failures(plugins)["broken"]
    (info,) = [info for info in plugins.infos() if info.name == "broken"]
    assert info.failure


@pytest.mark.parametrize("outcome", [boom, leave])
@pytest.mark.parametrize("hook", ["kaos_validate", "kaos_render_params", "kaos_manifests"])
def test_a_hook_that_raises_costs_only_the_servers_of_its_own_runtimes(plugins: Plugins, hook: str, outcome):
    """F26"""
    plugins.register(broken(hook, outcome), "broken")
    assert_only_its_own_fail(plugins, hook)


def drop_containers(manifests):
    manifests.pod["spec"]["containers"] = []


def rename_container(manifests):
    manifests.container["name"] = "other"


def drop_labels(manifests):
    manifests.pod["metadata"]["labels"] = {}


def drop_deployment(manifests):
    manifests.deployment.clear()


def number_args(manifests):
    manifests.program.args.append(8000)


def nameless_env(manifests):
    manifests.program.env.append({"value": "x"})


def no_program(manifests):
    manifests.program = None


def text_command(manifests):
    manifests.program.command = "run"


def odd_extra(manifests):
    manifests.extra.append({"kind": "ConfigMap", "metadata": {"name": "x"}, "apiVersion": 1})


def odd_context(manifests):
    manifests.pod["spec"]["securityContext"] = "none"


@pytest.mark.parametrize(
    ("hook", "outcome"),
    [
        ("kaos_validate", lambda *_: "text"),
        ("kaos_validate", lambda *_: [{"reason": "x"}]),
        ("kaos_validate", lambda *_: 5),
        ("kaos_render_params", lambda *_: {"env": {}}),
        *(
            ("kaos_manifests", edit)
            for edit in (
                drop_containers,
                rename_container,
                drop_labels,
                drop_deployment,
                number_args,
                nameless_env,
                no_program,
                text_command,
                odd_extra,
                odd_context,
            )
        ),
    ],
)
def test_a_hook_that_returns_or_leaves_garbage_costs_only_the_servers_of_its_own_runtimes(plugins, hook, outcome):
    """F26"""
    plugins.register(broken(hook, outcome), "broken")
    assert_only_its_own_fail(plugins, hook)


def hang(*_):
    time.sleep(30)


def hang_on(*_):
    """Whatever is raised in it, once."""
    for _ in range(2):
        with contextlib.suppress(BaseException):
            time.sleep(30)
    time.sleep(30)


@pytest.mark.parametrize("outcome", [hang, hang_on])
@pytest.mark.parametrize("hook", ["kaos_validate", "kaos_render_params", "kaos_manifests"])
def test_a_hook_that_hangs_is_stopped_once_and_called_no_more(hook, outcome):
    """F26"""
    plugins, calls = builtin_plugins(hook_limit=0.2), []

    def counted(*given):
        calls.append(hook)
        outcome(*given)

    plugins.register(broken(hook, counted), "broken")
    for _ in range(3):
        assert_only_its_own_fail(plugins, hook)
    assert calls == [hook]
    assert failures(plugins) == {"broken": f"{hook} hung: it took more than 0.2 s"}


def test_a_timeout_of_a_hook_itself_is_an_error_like_any_other(plugins: Plugins):
    def late(*_):
        raise TimeoutError("no answer")

    plugins.register(broken("kaos_validate", late), "broken")
    assert_only_its_own_fail(plugins, "kaos_validate")
    assert failures(plugins) == {}


def test_a_limit_leaves_an_outer_one_as_it_was():
    ended = []

    def inner(seconds, takes):
        with at_most(seconds):
            time.sleep(takes)
        ended.append(seconds)

    def outer():
        with at_most(0.3):
            inner(60, 0)
            with pytest.raises(OverdueError, match=r"0\.1 s"):
                inner(0.1, 5)
            time.sleep(5)

    with pytest.raises(OverdueError, match=r"0\.3 s"):
        outer()
    assert ended == [60]


def assert_only_its_own_fail(plugins: Plugins, hook: str) -> None:
    registry = Registry.build(plugins)
    mine = plan(server("mine", params="x"), registry, plugins)
    assert [problem.reason for problem in mine.errors] == ["PluginFailed"]
    assert f"plugin broken: {hook} failed: " in mine.errors[0].message
    assert mine.objects == ()
    assert mine.process is None
    other = plan(server("foreign", params="x"), registry, plugins)
    assert other.errors == []
    assert (
        other.objects
        == plan(server("foreign", params="x"), Registry.build(builtin_plugins()), builtin_plugins()).objects
    )
    assert [problem.severity for problem in other.problems] == ["warning"]


def test_an_object_whose_attributes_fail_costs_no_kind():
    class Trap:
        @property
        def KIND(self):
            raise ZeroDivisionError

    plugins = builtin_plugins()
    plugins.register(Trap(), "trap")
    assert set(plugins.kinds()) == {"Agent", "MCPServer", "ModelAPI"}
