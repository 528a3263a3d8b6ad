"""The registry: plugins' entries, ConfigMaps over them field by field; a bad entry costs only itself."""

from __future__ import annotations

import pytest

from kaos_core import documents
from kaos_core.errors import ResolveError
from kaos_core.plugin import Runtime, hookimpl
from kaos_core.plugins import Plugins
from kaos_core.registry import Overlay, Registry
from kaos_core.runtime import CUSTOM

CHART = "ConfigMap kaos-system/kaos-mcp-runtimes"


def overlay(entries: str, origin: str = CHART) -> Overlay:
    return Overlay(origin, "runtimes:\n" + entries)


def test_an_overlay_replaces_the_fields_it_gives_and_remembers_who_set_each(plugins: Plugins):
    text = "  weather:\n    image: mirror.example/weather-mcp:v1.0.1\n    port: 9000\n"
    entry = Registry.build(plugins, [overlay(text)]).get("weather")
    assert (entry.runtime.image, entry.runtime.port) == ("mirror.example/weather-mcp:v1.0.1", 9000)
    assert entry.runtime.required_env == ("WEATHER_API_KEY",)
    assert entry.origins["image"] == entry.origins["port"] == CHART
    assert entry.origins["requiredEnv"] == "plugin kaos-runtime-weather 1.0"
    assert entry.origin == f"plugin kaos-runtime-weather 1.0 + {CHART}"
    assert entry.plugin == "weather"


def test_a_later_overlay_wins(plugins: Plugins):
    first = overlay("  weather: {image: 'a.example/w:1', description: first}\n")
    second = overlay("  weather: {image: 'b.example/w:2'}\n", "ConfigMap team/more")
    entry = Registry.build(plugins, [first, second]).get("weather")
    assert (entry.runtime.image, entry.runtime.description) == ("b.example/w:2", "first")
    assert (entry.origins["image"], entry.origins["description"]) == ("ConfigMap team/more", CHART)


def test_a_null_takes_a_value_away(plugins: Plugins):
    assert Registry.build(plugins, [overlay("  weather: {health: null}\n")]).get("weather").runtime.health is None


def test_a_new_name_is_a_new_runtime_without_a_plugin(plugins: Plugins):
    """S4 §4.4's own example."""
    text = """\
  my-weather-api:
    type: python
    image: myregistry/weather-mcp:v1.0.0
    description: "Weather API integration"
    requiredEnv:
    - WEATHER_API_KEY
"""
    entry = Registry.build(plugins, [overlay(text)]).get("my-weather-api")
    assert entry.runtime.required_env == ("WEATHER_API_KEY",)
    assert (entry.plugin, entry.origin) == ("", CHART)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{type: python}", "image: is required"),
        ("{type: ruby, image: 'a/b:1'}", "type: input should be"),
        ("{type: python, image: 'a/b:1', command: 'run it'}", "command: input should be a valid list"),
        ("{type: python, image: 'a/b:1', colour: red}", "colour: is no field of a runtime"),
        ("{image: 'a/b:1'}", "type: field required"),
        ("{type: python, image: 'a/b:1', port: many}", "port: input should be a valid integer"),
        ("hello", "an entry must be a mapping, found str"),
        ("", "an entry must be a mapping, found NoneType"),
    ],
)
def test_a_bad_entry_is_passed_over_with_its_line_and_the_others_load(plugins: Plugins, entry: str, says: str):
    """B88"""
    registry = Registry.build(plugins, [overlay(f"  good: {{type: go, image: 'a/good:1'}}\n  bad: {entry}\n")])
    (problem,) = registry.problems
    assert problem.message.startswith(f"{CHART}, line 3: runtime bad: ")
    assert says in problem.message
    assert registry.get("good").runtime.type == "go"
    with pytest.raises(ResolveError, match=r"unknown runtime: bad \(ConfigMap .*, line 3: ") as refused:
        registry.get("bad")
    assert refused.value.reason == "UnknownRuntime"


def test_a_bad_overlay_entry_leaves_the_whole_entry_below_it(plugins: Plugins):
    """F26: never a partial entry."""
    registry = Registry.build(plugins, [overlay("  weather: {image: 'evil/w:1', type: ruby}\n")])
    assert registry.get("weather").runtime.image == "registry.example/weather-mcp:v1.0.0"


@pytest.mark.parametrize("image", ["{{ .Values.image }}/a:1", "${HOME}/a:1"])
def test_templates_in_values_are_just_text(plugins: Plugins, image: str):
    """B90"""
    registry = Registry.build(plugins, [overlay(f"  odd: {{type: python, image: '{image}'}}\n")])
    assert registry.get("odd").runtime.image == image


@pytest.mark.parametrize(
    "text",
    [
        "runtimes: [",
        "- a",
        "runtimes: 5",
        "other: {}",
        "a: 1\n---\nb: 2",
        "runtimes: {a: 1, a: 2}",
        "#" * (documents.MAX_CHARACTERS + 1),
    ],
)
def test_a_document_that_cannot_be_used_keeps_the_last_good_one(plugins: Plugins, text: str):
    """F25"""
    good = Registry.build(plugins, [overlay("  extra: {type: go, image: 'a/b:1'}\n")])
    kept = Registry.build(plugins, [Overlay(CHART, text)], previous=good)
    assert kept.get("extra").runtime.image == "a/b:1"
    (problem,) = kept.problems
    assert problem.message.startswith(f"failed to parse runtime registry: {CHART}: ")
    again = Registry.build(plugins, [Overlay(CHART, text)], previous=kept)
    assert again.get("extra").runtime.image == "a/b:1"
    fresh = Registry.build(plugins, [Overlay(CHART, text)])
    assert {"weather", CUSTOM} <= fresh.by_name.keys()
    assert "extra" not in fresh.by_name


@pytest.mark.parametrize("text", ["", "runtimes:", "runtimes: {}", "{}", "# nothing"])
def test_an_empty_document_takes_entries_away(plugins: Plugins, text: str):
    """F25: a ConfigMap that is emptied or deleted is no error; the plugins' entries stay."""
    good = Registry.build(plugins, [overlay("  extra: {type: go, image: 'a/b:1'}\n")])
    emptied = Registry.build(plugins, [Overlay(CHART, text)], previous=good)
    assert emptied.problems == ()
    assert emptied.by_name.keys() == Registry.build(plugins, [], previous=good).by_name.keys()
    assert "extra" not in emptied.by_name


def test_a_runtime_that_comes_later_is_there_in_the_next_registry(plugins: Plugins):
    """F24"""
    with pytest.raises(ResolveError):
        Registry.build(plugins).get("extra")
    assert Registry.build(plugins, [overlay("  extra: {type: go, image: 'a/b:1'}\n")]).get("extra")


def test_an_unknown_runtime_lists_available_ones_sorted(registry: Registry):
    """S4.38, C17"""
    with pytest.raises(ResolveError) as refused:
        registry.get("wether")
    assert refused.value.message == "unknown runtime: wether (available: [custom, foreign, weather])"
    assert (refused.value.reason, refused.value.hint) == ("UnknownRuntime", "did you mean weather?")


def test_an_alias_finds_its_runtime(registry: Registry):
    assert registry.get("meteo").runtime.name == "weather"


def test_a_disabled_runtime_says_who_disabled_it(plugins: Plugins):
    registry = Registry.build(plugins, [overlay("  weather: {disabled: true}\n")])
    with pytest.raises(ResolveError, match=f"runtime meteo is disabled by {CHART}") as refused:
        registry.get("meteo")
    assert refused.value.reason == "RuntimeDisabled"
    assert "weather" in registry.by_name


def test_custom_is_reserved(plugins: Plugins):
    registry = Registry.build(plugins, [overlay("  custom: {type: python, image: 'a/b:1'}\n")])
    assert "the name custom is reserved" in registry.problems[0].message
    assert registry.get("custom").runtime.image == ""


def test_two_plugins_with_one_runtime_name_the_first_keeps_it(plugins: Plugins):
    """B87"""

    class Late:
        @hookimpl
        def kaos_runtimes(self):
            return [Runtime(name="weather", type="go", image="late.example/w:1", description="late")]

    plugins.register(Late(), "zz-late", ("late", "2.0"))
    registry = Registry.build(plugins)
    assert registry.get("weather").plugin == "weather"
    (problem,) = registry.problems
    assert problem.severity == "warning"
    assert "runtime weather of plugin late 2.0 is passed over: plugin kaos-runtime-weather 1.0 has" in problem.message


def test_five_thousand_entries_are_one_parse_and_one_validator(plugins: Plugins, monkeypatch):
    """B92"""
    import pydantic

    from kaos_core import registry as module

    counts = {"parse": 0, "adapter": 0}
    parse, adapter = documents.load_all, pydantic.TypeAdapter

    def counted_parse(text):
        counts["parse"] += 1
        return parse(text)

    def counted_adapter(form):
        counts["adapter"] += 1
        return adapter(form)

    monkeypatch.setattr(module, "load_all", counted_parse)
    monkeypatch.setattr(pydantic, "TypeAdapter", counted_adapter)
    many = "".join(f"  r{n}: {{type: python, image: 'a.example/r{n}:1'}}\n" for n in range(5000))
    registry = Registry.build(plugins, [overlay(many)])
    assert registry.problems == ()
    assert registry.get("r4999").runtime.image == "a.example/r4999:1"
    assert counts["parse"] == 1
    assert counts["adapter"] <= 1


def test_a_listing_begins_with_what_kaos_ships_and_ends_with_custom(plugins: Plugins):
    class Ours:
        @hookimpl
        def kaos_runtimes(self):
            return [Runtime(name="zz", type="python", image="a/zz:1", description="d", source="Built-in")]

    plugins.register(Ours(), "zz")
    listed = [entry.runtime.name for entry in Registry.build(plugins).entries()]
    assert listed == ["zz", "foreign", "weather", "custom"]


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        ("weather", "a str is no Runtime"),
        (Runtime(name="x", type="python"), "runtime x: image: is required"),
        (Runtime(name="x", type="ruby", image="a/b:1"), "runtime x: type: input should be"),
    ],
)
def test_a_plugin_that_offers_garbage_fails_by_name(plugins: Plugins, offered, says: str):
    """F26"""

    class Garbage:
        @hookimpl
        def kaos_runtimes(self):
            return [offered, Runtime(name="sound", type="python", image="a/b:1")]

    plugins.register(Garbage(), "garbage", ("garbage", "1"))
    registry = Registry.build(plugins)
    assert [(failure.name, says in failure.error) for failure in plugins.failures] == [("garbage", True)]
    assert {"weather", "sound"} <= registry.by_name.keys()
    with pytest.raises(ResolveError, match=r"runtime garbage: plugin garbage 1 failed: "):
        registry.get("garbage")


def test_a_failed_plugins_runtime_says_so_and_no_overlay_revives_it(plugins: Plugins):
    """Design, "Plugins": only its own servers say PluginFailed; half of a runtime would be worse than none."""
    plugins.fail("slack", "ImportError: libslack")
    registry = Registry.build(plugins, [overlay("  slack: {type: nodejs, image: 'a/b:1'}\n")])
    with pytest.raises(ResolveError, match=r"runtime slack: plugin slack .*failed: ImportError: libslack") as caught:
        registry.get("slack")
    assert caught.value.reason == "PluginFailed"
    assert [problem.reason for problem in registry.problems] == ["PluginFailed"]
    with pytest.raises(ResolveError) as caught:
        registry.get("discord")
    assert (caught.value.reason, caught.value.hint) == (
        "UnknownRuntime",
        "perhaps it is of a plugin that failed: slack",
    )
