"""`check_plugin` passes a plugin that keeps the contract and names what breaks it."""

from __future__ import annotations

import itertools

import pytest

from kaos_core.errors import PluginError
from kaos_core.plugin import Command, Problem, Runtime, hookimpl
from kaos_core.testing import check_plugin, compare_golden, server


def entry(**changes) -> Runtime:
    return Runtime(**{"name": "mine", "type": "python", "image": "a.example/mine:1", "description": "d", **changes})


class Plain:
    runtime = entry()

    @hookimpl
    def kaos_runtimes(self):
        return [self.runtime]


def test_a_good_plugin_passes_and_gives_its_plans(reference_plugin):
    (made,) = check_plugin(reference_plugin, specs={"weather": {"params": "x"}})
    assert made.resource.spec.runtime == "weather"
    assert made.process.argv[:3] == ("{python}", "-m", "weather")


@pytest.mark.parametrize("image", ["a.example/mine:1.2", "a.example:5000/mine@sha256:" + "a" * 64])
def test_a_tag_or_a_digest_pins_an_image(image: str):
    class Pinned(Plain):
        runtime = entry(image=image)

    assert len(check_plugin(Pinned())) == 1


def test_a_stdio_runtime_passes_without_an_adapter():
    class Stdio(Plain):
        runtime = entry(transport="stdio")

    assert check_plugin(Stdio())[0].objects == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"description": ""}, "runtime mine has no description"),
        ({"image": "a.example/mine:latest"}, "pin the tag"),
        ({"image": "a.example:5000/mine"}, "pin the tag"),
        ({"image": ""}, "image: is required"),
        ({"type": "ruby"}, "type: input should be"),
        ({"name": "foreign"}, "has that name"),
        ({"name": "custom"}, "has that name"),
    ],
)
def test_a_bad_entry_is_named(change: dict, says: str):
    class Bad(Plain):
        runtime = entry(**change)

    # Named after the core's own plugins, so that theirs come first.
    Bad.__name__ = "zz"
    with pytest.raises(PluginError, match=says):
        check_plugin(Bad())


class EditsForeign(Plain):
    @hookimpl
    def kaos_manifests(self, server, runtime, manifests):
        manifests.program.set_env([{"name": "MINE", "value": "1"}])


class ComplainsOfForeign(Plain):
    @hookimpl
    def kaos_validate(self, server, runtime):
        return [Problem("InvalidParams", "no", severity="warning")]


class RaisesOnForeign(Plain):
    @hookimpl
    def kaos_manifests(self, server, runtime, manifests):
        raise ValueError("what is this?")


class Impure(Plain):
    def __init__(self):
        self.counter = itertools.count()

    @hookimpl
    def kaos_manifests(self, server, runtime, manifests):
        if runtime.name == "mine":
            manifests.program.set_env([{"name": "N", "value": str(next(self.counter))}])


class DropsRequired(Plain):
    runtime = entry(required_env=("API_KEY",))

    @hookimpl
    def kaos_manifests(self, server, runtime, manifests):
        if runtime.name == "mine":
            manifests.container["env"] = [{"name": "API_KEY", "$patch": "delete"}]


class RefusesItsOwn(Plain):
    @hookimpl
    def kaos_validate(self, server, runtime):
        return [Problem("InvalidParams", "no code")] if runtime.name == "mine" else None


class LostCommand(Plain):
    @hookimpl
    def kaos_commands(self):
        return [Command("mine", "help", "nothing_of_that_name:app")]


class LostAttribute(Plain):
    @hookimpl
    def kaos_commands(self):
        return [Command("mine", "help", "json:app")]


class Misspelt(Plain):
    @hookimpl
    def kaos_runtimez(self):
        return []


class Raising(Plain):
    @hookimpl
    def kaos_runtimes(self):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (EditsForeign, "changed a server of another runtime"),
        (ComplainsOfForeign, "changed a server of another runtime"),
        (RaisesOnForeign, "changed a server of another runtime"),
        (Impure, "two plans of one server differ"),
        (DropsRequired, "a hook dropped API_KEY"),
        (RefusesItsOwn, "does not plan: no code"),
        (LostCommand, "the command mine names nothing_of_that_name:app"),
        (LostAttribute, "the command mine names json:app"),
        (Misspelt, "unknown hook 'kaos_runtimez'"),
        (Raising, "ValueError: no"),
    ],
)
def test_what_breaks_the_contract_is_named(plugin: type, says: str):
    with pytest.raises(PluginError, match=says):
        check_plugin(plugin())


def test_a_golden_file_is_compared_whole_and_the_difference_shown(planned, tmp_path):
    path = tmp_path / "plain.yaml"
    compare_golden(planned(server("foreign")), path, update=True)
    compare_golden(planned(server("foreign")), path)
    with pytest.raises(AssertionError, match=r"\+  replicas: 2"):
        compare_golden(planned(server("foreign", replicas=2)), path)
    with pytest.raises(AssertionError, match="unknown runtime: nothing"):
        compare_golden(planned(server("nothing")), path)
