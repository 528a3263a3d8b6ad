"""The runtime `rawpython` as a plugin: its entry, its hooks, and the design proposal's whole MCPServer as manifests."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import kaos_runtime_rawpython as plugin
from kaos_core.manifests.names import PARAMS_FOLDER
from kaos_core.plan import Plan, plan
from kaos_core.registry import Registry
from kaos_core.testing import builtin_plugins, check_plugin, compare_golden, server

WHOLE = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata:
  name: my-mcp
  namespace: default
spec:
  # Required: Runtime identifier from ConfigMap or "custom"
  runtime: rawpython  # or: slack, custom (kubernetes/discord/fetch deferred - require stdio adapter)

  # Runtime-specific parameters (YAML string)
  # Passed to container via runtime's paramsEnvVar (e.g., MCP_TOOLS_STRING for rawpython)
  params: |
    code: |
      def echo(text: str) -> str:
          return text

  # ServiceAccount for RBAC (created via `kaos system create-rbac`)
  # Required for kubernetes runtime, optional for others
  serviceAccountName: mcpserver-k8s-tools

  # Telemetry configuration
  telemetry:
    enabled: true
    endpoint: "http://otel-collector:4317"

  # Gateway routing
  gatewayRoute:
    timeout: "60s"

  # Container-level overrides (works with ANY runtime)
  # NOTE: env moved here from config.env
  container:
    image: myregistry/my-mcp:v1.0.0  # Override image (required for custom)
    env:                              # All env vars now here
    - name: LOG_LEVEL
      value: "INFO"
    - name: API_KEY
      valueFrom:
        secretKeyRef:
          name: my-secret
          key: api-key
    resources:
      requests:
        memory: "128Mi"
        cpu: "100m"
    command: ["python", "-m", "my_server"]
    args: ["--port", "8000"]

  # Full PodSpec override for advanced use cases (sidecars, volumes, etc.)
  podSpec:
    containers:
    - name: sidecar
      image: datadog/agent:latest
"""
CODE = "def add(a: int, b: int) -> int:\n    return a + b\n"
CASES = {"whole": yaml.safe_load(WHOLE), "plain": server("rawpython", params=CODE)}


def planned(document: dict) -> Plan:
    plugins = builtin_plugins()
    plugins.register(plugin, "rawpython")
    return plan(document, Registry.build(plugins), plugins)


def environment(made: Plan) -> dict[str, dict]:
    return {entry["name"]: entry for entry in made.process.env}


def test_the_plugin_keeps_the_contract():
    (made,) = check_plugin(plugin, specs={"rawpython": {"params": CODE}})
    assert made.problems == ()


@pytest.mark.parametrize("name", CASES)
def test_manifests_are_the_golden_ones(name: str, request: pytest.FixtureRequest):
    made = planned(CASES[name])
    update = request.config.getoption("--update-goldens", default=False)
    compare_golden(made, Path(__file__).parent / "golden" / f"{name}.yaml", update=update)
    for obj in made.objects:
        kubernetes_validate.validate(obj, "1.36", strict=True)


def test_every_part_of_the_whole_server_is_in_its_deployment():
    """S4 §3.1: image, command, args, telemetry, sidecar."""
    pod = planned(CASES["whole"]).objects[-1]["spec"]["template"]["spec"]
    containers = {container["name"]: container for container in pod["containers"]}
    assert containers["sidecar"]["image"] == "datadog/agent:latest"
    main = containers["mcp-server"]
    assert main["image"] == "myregistry/my-mcp:v1.0.0"
    assert (main["command"], main["args"]) == (["python", "-m", "my_server"], ["--port", "8000"])
    env = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector:4317"
    assert (env["LOG_LEVEL"], env["API_KEY"]) == ("INFO", None)
    assert env["MCP_TOOLS_STRING"] == "def echo(text: str) -> str:\n    return text\n"
    assert pod["serviceAccountName"] == "mcpserver-k8s-tools"


def test_its_own_image_runs_read_only_with_its_own_probes():
    main = planned(CASES["plain"]).objects[-1]["spec"]["template"]["spec"]["containers"][0]
    assert main["securityContext"]["readOnlyRootFilesystem"] is True
    assert (main["livenessProbe"]["httpGet"]["path"], main["readinessProbe"]["httpGet"]["path"]) == (
        "/health",
        "/ready",
    )
    assert "command" not in main


def test_the_older_name_is_an_alias():
    """C25"""
    document = server("python-string", params=CODE)
    assert environment(planned(document))["MCP_TOOLS_STRING"]["value"] == CODE


@pytest.mark.parametrize("params", [CODE, "code: |\n  " + CODE.replace("\n", "\n  ")])
def test_hook_kaos_render_params_gives_the_server_only_code(params):
    """C1"""
    assert environment(planned(server("rawpython", params=params)))["MCP_TOOLS_STRING"]["value"].strip() == CODE.strip()


@pytest.mark.parametrize("params", ["- a", "5", "null", "yes", "cod: x", "code: x\nmore: y", "!!python/name:os.system"])
def test_hook_kaos_validate_refuses_params_that_are_no_code(params):
    """B14, B16, B18"""
    made = planned(server("rawpython", params=params))
    assert [problem.reason for problem in made.errors] == ["InvalidParams"]


def test_hook_kaos_validate_warns_of_code_that_does_not_compile():
    """B74: the server itself says where, as a condition."""
    made = planned(server("rawpython", params="def broken(:\n"))
    (problem,) = made.problems
    assert (problem.severity, problem.reason) == ("warning", "InvalidCode")
    assert environment(made)["MCP_TOOLS_STRING"]["value"] == "def broken(:\n"


def test_code_has_to_come_from_somewhere():
    (problem,) = planned(server("rawpython")).errors
    assert (problem.reason, problem.message) == ("InvalidParams", "there is no code")


@pytest.mark.parametrize(
    "spec",
    [
        {"container": {"env": [{"name": "MCP_TOOLS_STRING", "value": CODE}]}},
        {
            "container": {
                "env": [{"name": "MCP_TOOLS_STRING", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
            }
        },
        {"container": {"envFrom": [{"secretRef": {"name": "s"}}]}},
        {"paramsFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ],
)
def test_code_may_come_from_the_environment(spec):
    """S4 §3.2"""
    assert planned(server("rawpython", **spec)).errors == []


def test_code_in_two_places_is_refused():
    env = [{"name": "MCP_TOOLS_STRING", "value": CODE}]
    (problem,) = planned(server("rawpython", params=CODE, container={"env": env})).errors
    assert problem.message == "container.env sets MCP_TOOLS_STRING, and so does spec.params"


def test_large_code_comes_as_a_file():
    code = CODE + "#" * 70_000
    made = planned(server("rawpython", params=code))
    assert made.process.files == {f"{PARAMS_FOLDER}/params": code}
    assert environment(made)["MCP_TOOLS_STRING_FILE"]["value"] == f"{PARAMS_FOLDER}/params"


def test_a_process_can_be_forked_from_a_parent_that_imported_the_server():
    process = planned(CASES["plain"]).process
    assert process.argv[:3] == ("{python}", "-m", plugin.SERVER)
    assert process.preload == (plugin.SERVER,)


def test_a_pod_gives_the_code_no_token_no_root_and_no_writable_image():
    """B79, as far as the plan can say it: what the code may read and write is what the manifest declares."""
    spec = planned(server("rawpython", params=CODE)).objects[-1]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert {entry["name"] for entry in container["env"]} == {"MCP_TOOLS_STRING", "POD_IP", "KAOS_SERVICE_HOSTS"}
