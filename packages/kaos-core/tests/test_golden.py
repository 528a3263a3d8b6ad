"""Whole manifests, compared byte for byte: the documents of the design proposal as written, and one per feature."""

from __future__ import annotations

import pytest
import yaml
from jsonschema import Draft202012Validator

from kaos_core.crd import crd
from kaos_core.resolve import Related
from kaos_core.settings import Gateway, Settings

AGENT = """
apiVersion: kaos.tools/v1alpha1
kind: Agent
metadata:
  name: my-agent
spec:
  modelAPI: my-modelapi
  model: gpt-4
  mcpServers: [my-mcp]

  config:
    description: "My agent"
    instructions: "Be helpful"
    # NOTE: env REMOVED from here

  # Container-level overrides
  container:
    env:                              # Moved from config.env
    - name: DEBUG_MOCK_RESPONSES
      value: "[]"
    resources:
      requests:
        memory: "256Mi"

  # Full PodSpec override (for sidecars, volumes, etc.)
  podSpec:
    containers:
    - name: sidecar
      image: some-sidecar:latest
"""

MODELAPI = """
apiVersion: kaos.tools/v1alpha1
kind: ModelAPI
metadata:
  name: my-modelapi
spec:
  type: proxy
  proxyConfig:
    models: [gpt-4, gpt-3.5-turbo]
    # NOTE: env REMOVED from here

  # Container-level overrides
  container:
    env:                              # Moved from proxyConfig.env / hostedConfig.env
    - name: LITELLM_MASTER_KEY
      valueFrom:
        secretKeyRef:
          name: api-keys
          key: litellm
    resources:
      limits:
        memory: "512Mi"

  # Full PodSpec override
  podSpec: {}
"""

CUSTOM = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: mine, namespace: team, uid: 6f1c}
spec:
  runtime: custom
  container:
    image: registry.example:5000/mine@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    args: ["--port", "{port}"]
    imagePullPolicy: Always
  imagePullSecrets: [{name: registry}]
"""

LARGE_PARAMS = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: large}
spec:
  runtime: weather
  params: PARAMS
  container:
    env: [{name: WEATHER_API_KEY, valueFrom: {secretKeyRef: {name: weather, key: api-key}}}]
"""

OVERRIDES = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: tuned, annotations: {kaos.tools/restartedAt: "2026-11-21T00:00:00Z"}}
spec:
  runtime: foreign
  replicas: 3
  serviceAccountName: mcpserver-tuned
  transport: {protocol: sse, port: 9000, path: /sse, sessionManagement: true}
  security: {runAsUser: 2000, runAsGroup: 3000, fsGroup: 4000, readOnlyRootFilesystem: true}
  service: {type: LoadBalancer, annotations: {example.com/internal: "true"}}
  healthCheck: {path: /healthz, port: 9001}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  container:
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
    envFrom: [{prefix: APP_, configMapRef: {name: app}}]
    resources: {limits: {memory: 512Mi, cpu: 1}, requests: {cpu: 100m}}
  podSpec:
    nodeSelector: {env: prod}
    containers:
    - name: mcp-server
      lifecycle: {preStop: {sleep: {seconds: 3}}}
"""

ROUTED = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: routed}
spec:
  runtime: foreign
  params: hello
  gatewayRoute: {timeout: 60s}
  telemetry: {enabled: true, endpoint: "http://otel-collector:4317"}
"""

HOSTED = """
apiVersion: kaos.tools/v1alpha1
kind: ModelAPI
metadata: {name: local-model}
spec:
  mode: Hosted
  hostedConfig: {model: "smollm2:135m"}
"""

TEAM_AGENT = """
apiVersion: kaos.tools/v1alpha1
kind: Agent
metadata: {name: lead}
spec:
  modelAPI: local-model
  mcpServers: [a-b, a.b]
  allowedTools: {a-b: [add]}
  config:
    reasoningLoopMaxSteps: 7
    memory: {type: redis, redisUrl: "redis://redis:6379", contextLimit: 12}
  agentNetwork: {access: [worker]}
  gatewayRoute: {timeout: 0s}
"""

WILDCARDS = """
apiVersion: kaos.tools/v1alpha1
kind: ModelAPI
metadata: {name: openai, uid: 77aa}
spec:
  mode: Proxy
  proxyConfig:
    provider: openai
    models: ["*", gpt-4, openai/gpt-4o]
    apiBase: https://api.openai.com/v1
    apiKey: {valueFrom: {secretKeyRef: {name: openai, key: api-key}}}
  security: {readOnlyRootFilesystem: true}
"""

OWN_CONFIG = """
apiVersion: kaos.tools/v1alpha1
kind: ModelAPI
metadata: {name: own}
spec:
  mode: Proxy
  proxyConfig: {models: [gpt-4], configYaml: {fromSecretKeyRef: {name: litellm, key: config.yaml}}}
  telemetry: {enabled: true, endpoint: "http://otel-collector:4317"}
"""

MIRRORED = """
apiVersion: kaos.tools/v1alpha1
kind: ModelAPI
metadata: {name: mirrored}
spec:
  type: hosted
  hostedConfig: {model: "llama3.2:1b"}
  container:
    image: registry.example:5000/ollama:0.12.6
    env: [{name: HTTPS_PROXY, value: "http://proxy.example:3128"}, {name: HOME, value: /models/home}]
  security: {readOnlyRootFilesystem: true}
"""

SLACK = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: team-chat}
spec:
  runtime: guarded
  headers: [{name: X-Team, value: blue}, {name: X-Key, valueFrom: {secretKeyRef: {name: chat, key: key}}}]
status: {ready: true, validation: {transportUsed: streamable-http}}
"""

WIKIPEDIA = """
apiVersion: kaos.tools/v1alpha1
kind: MCPServer
metadata: {name: wikipedia}
spec:
  runtime: custom
  container: {image: "registry.example/wikipedia:1"}
  transport: {port: 3001, path: /sse}
  auth: {bearer: {secretKeyRef: {name: wikipedia, key: token}}}
status: {ready: true, validation: {transportUsed: sse}}
"""

WIRED = """
apiVersion: kaos.tools/v1alpha1
kind: Agent
metadata: {name: wired}
spec:
  modelAPI: my-modelapi
  mcpServers: [team-chat, wikipedia, my-mcp]
  config: {instructions: "Prices are in $(CURRENCY), as in $$5."}
  telemetry: {enabled: true, endpoint: "http://otel-collector:4317"}
"""

CASES = {
    "agent": AGENT,
    "agent-wired": WIRED,
    "modelapi-wildcards": WILDCARDS,
    "modelapi-own-config": OWN_CONFIG,
    "modelapi-mirrored": MIRRORED,
    "modelapi-proxy": MODELAPI,
    "mcpserver-custom": CUSTOM,
    "mcpserver-large-params": LARGE_PARAMS.replace("PARAMS", '"' + "0123456789 " * 6000 + '"'),
    "mcpserver-overrides": OVERRIDES,
    "mcpserver-routed": ROUTED,
    "modelapi-hosted": HOSTED,
    "agent-network": TEAM_AGENT,
}
GATEWAY = Settings(gateway=Gateway("kaos", "kaos-system", ("mcp.example",)), image_pull_secrets=("operator",))
SETTINGS = {"mcpserver-custom": GATEWAY, "mcpserver-routed": GATEWAY, "agent-network": GATEWAY}
GUARDED = "runtimes: {guarded: {type: nodejs, image: 'registry.example/guarded:1', tokenEnv: AUTH_TOKEN}}"
READY = {"status": {"ready": True}}
PLAIN = {"kind": "MCPServer", "spec": {"runtime": "foreign"}, **READY}
RELATED = Related(
    {
        ("ModelAPI", "local-model"): {**yaml.safe_load(HOSTED), **READY},
        ("ModelAPI", "my-modelapi"): {**yaml.safe_load(MODELAPI), **READY},
        ("MCPServer", "team-chat"): yaml.safe_load(SLACK),
        ("MCPServer", "wikipedia"): yaml.safe_load(WIKIPEDIA),
        **{("MCPServer", name): PLAIN for name in ("my-mcp", "a-b", "a.b")},
    }
)


@pytest.mark.parametrize("name", CASES)
def test_manifests_are_the_golden_ones(name: str, planned, golden):
    golden(name, planned(yaml.safe_load(CASES[name]), GUARDED, settings=SETTINGS.get(name), related=RELATED))


@pytest.mark.parametrize("name", CASES)
def test_golden_objects_are_valid_kubernetes_objects(name: str, planned, assert_valid):
    made = planned(yaml.safe_load(CASES[name]), GUARDED, settings=SETTINGS.get(name), related=RELATED)
    assert made.objects
    for obj in made.objects:
        assert_valid(obj)


@pytest.mark.parametrize("name", CASES)
def test_golden_resources_pass_the_schema_of_their_crd(name: str, plugins):
    document = yaml.safe_load(CASES[name])
    schema = crd(plugins.kinds()[document["kind"]])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    Draft202012Validator(closed(schema)).validate(document)


def closed(schema: dict) -> dict:
    """The schema as a strict API server takes it: what is not named is refused."""
    schema = {key: closed(value) if key == "items" else value for key, value in schema.items()}
    if "properties" in schema:
        schema["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
    return schema if schema != {"type": "object", "additionalProperties": False} else {"type": "object"}
