"""What the tests of the core share: its own plugins, a reference plugin with every hook, and golden files.

`pytest packages/kaos-core … --update-goldens` writes golden files anew; read the diff before you commit it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kaos_core.plan import Plan, plan
from kaos_core.plugin import Command, Local, Problem, RenderedParams, Runtime, hookimpl
from kaos_core.plugins import Plugins
from kaos_core.registry import Overlay, Registry
from kaos_core.testing import builtin_plugins, compare_golden, server

# The same examples on every machine, however busy it is.
settings.register_profile("kaos", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kaos")

CHART = "ConfigMap kaos-system/kaos-mcp-runtimes"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write golden files instead of comparing them")


class ReferencePlugin:
    """A plugin with every hook, as an author would write it."""

    @hookimpl
    def kaos_runtimes(self) -> list[Runtime]:
        return [
            Runtime(
                name="weather",
                type="python",
                image="registry.example/weather-mcp:v1.0.0",
                description="The weather",
                args=("--port", "{port}"),
                required_env=("WEATHER_API_KEY",),
                params_env_var="WEATHER_PARAMS",
                params_file=True,
                source="weather/mcp",
                health="/health",
                ready="/ready",
                aliases=("meteo",),
                local=Local(command=("{python}", "-m", "weather", "--port", "{port}"), env={"WEATHER_LOCAL": "1"}),
            )
        ]

    @hookimpl
    def kaos_validate(self, server: Mapping[str, Any], runtime: Runtime) -> list[Problem] | None:
        if runtime.name != "weather":
            return None
        if "serviceAccountName" in server["spec"]:
            return [Problem("Needless", "needs no ServiceAccount", "spec.serviceAccountName", "warning")]
        if server["spec"].get("params") == "refused":
            return [Problem("InvalidParams", "refused", "spec.params")]
        return None

    @hookimpl
    def kaos_render_params(self, server: Mapping[str, Any], runtime: Runtime) -> RenderedParams | None:
        if runtime.name != "weather":
            return None
        return RenderedParams(env={"WEATHER_PARAMS": server["spec"]["params"].strip()}, args=("--with-params",))

    @hookimpl
    def kaos_manifests(self, server: Mapping[str, Any], runtime: Runtime, manifests: Any) -> None:
        if runtime.name != "weather":
            return
        manifests.program.set_env([{"name": "WEATHER_UNITS", "value": "metric"}])
        manifests.deployment["metadata"]["annotations"] = {"team": "weather"}

    @hookimpl
    def kaos_commands(self) -> list[Command]:
        return [Command("weather", "Ask for the weather.", "json:dumps")]


@pytest.fixture
def reference_plugin() -> ReferencePlugin:
    return ReferencePlugin()


@pytest.fixture
def plugins(reference_plugin: ReferencePlugin) -> Plugins:
    """The core's own plugins and the reference plugin."""
    plugins = builtin_plugins()
    plugins.register(reference_plugin, "weather", ("kaos-runtime-weather", "1.0"))
    assert plugins.failures == []
    return plugins


@pytest.fixture
def registry(plugins: Plugins) -> Registry:
    return Registry.build(plugins)


@pytest.fixture
def weather() -> Callable[..., dict[str, Any]]:
    """A server of the reference plugin's runtime that lacks nothing; keywords are fields of its spec."""

    def make(
        *, env: list[dict[str, Any]] | None = None, container: Mapping[str, Any] | None = None, **spec: Any
    ) -> Any:
        key = {"name": "WEATHER_API_KEY", "valueFrom": {"secretKeyRef": {"name": "weather", "key": "api-key"}}}
        return server("weather", container={"env": [key, *(env or [])], **(container or {})}, **spec)

    return make


@pytest.fixture
def planned(plugins: Plugins) -> Callable[..., Plan]:
    """Plan a document with the fixture's plugins; `overlays` are texts of registry ConfigMaps, lowest first."""

    def make(document: Mapping[str, Any], *overlays: str, **more: Any) -> Plan:
        texts = [
            Overlay(CHART if not index else f"ConfigMap kaos-system/more-{index}", t)
            for index, t in enumerate(overlays)
        ]
        before = copy.deepcopy(document)
        made = plan(document, Registry.build(plugins, texts), plugins, **more)
        assert document == before, "plan changed its input"
        return made

    return make


@pytest.fixture
def reasons() -> Callable[[Plan], list[str]]:
    """The reasons that stop a plan."""
    return lambda made: [problem.reason for problem in made.errors]


@pytest.fixture
def by_kind() -> Callable[[Plan], SimpleNamespace]:
    """A plan's objects as attributes by kind."""
    return lambda made: SimpleNamespace(**{obj["kind"]: obj for obj in made.objects})


@pytest.fixture
def main_container() -> Callable[[Plan], dict[str, Any]]:
    """The main container of a plan's Deployment."""

    def find(made: Plan) -> dict[str, Any]:
        containers = made.objects[-1]["spec"]["template"]["spec"]["containers"]
        return next(container for container in containers if container["name"] == made.kind.container)

    return find


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Plan], None]:
    """Compare all objects of a plan with `golden/<name>.yaml` beside the test."""

    def compare(name: str, made: Plan) -> None:
        path = Path(request.path).parent / "golden" / f"{name}.yaml"
        compare_golden(made, path, update=request.config.getoption("--update-goldens"))

    return compare


@pytest.fixture(scope="session")
def assert_valid() -> Callable[[Mapping[str, Any]], None]:
    """Check an object against the schemas of Kubernetes 1.36; they know no Gateway API."""
    import kubernetes_validate

    def check(obj: Mapping[str, Any]) -> None:
        if obj["kind"] == "HTTPRoute":
            assert {"parentRefs", "rules"} <= obj["spec"].keys()
        else:
            kubernetes_validate.validate(dict(obj), "1.36", strict=True)

    return check
