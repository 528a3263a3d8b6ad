"""Values: everything that can be set in `charts/kaos`, with its default. The chart's other parts are made from this.

Whatever a template reads is here, so a misspelt name is refused by the schema before anything is sent to a cluster.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from kaos_core.plugins import Plugins
from kaos_core.runtime import CUSTOM, Runtime, camel
from kaos_core.settings import Settings, image
from kaos_operator.environment import Environment

IMAGES_OF_RUNTIMES = {
    "rawpython": "mcpRawPython",
    "kubernetes": "mcpKubernetes",
    "slack": "mcpSlack",
    "discord": "mcpDiscord",
    "fetch": "mcpFetch",
}
"""The seed's five runtimes, in its order, and where `defaultImages` has the image of each (S4.96, S4.116)."""

_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Name = Annotated[str, Field(pattern=rf"^({_DNS}(\.{_DNS})*)?$", max_length=253)]
Namespace = Annotated[str, Field(pattern=rf"^{_DNS}$", max_length=63)]
ImageRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9]\S*$", max_length=512)]
Duration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Object = dict[str, Any]
Level = Literal["restricted", "baseline", "privileged"]


class Values(BaseModel):
    """Values that stand together. What it does not name is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", populate_by_name=True, use_attribute_docstrings=True
    )


class Global(Values):
    """What a chart around this one may say for all of its parts, ours among them."""

    model_config = ConfigDict(extra="allow")

    image_registry: Annotated[str, Field(pattern=r"^\S*$")] = ""
    """A registry that mirrors all images: it takes the place of their hosts. Empty leaves them as they are; those of
    `mcpRuntimes` are yours, and stay in any case."""


class Image(Values):
    """The operator's image."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9]\S*$")] = image("kaos-operator").rpartition(":")[0]
    """Its name without a tag. An image of your own can hold more plugins: `FROM` this one, then `pip install`."""
    tag: Annotated[str, Field(pattern=r"^[\w.-]{0,128}$")] = ""
    """Empty is the chart's appVersion."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """Wins over the tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When the node pulls it."""


class ServiceAccount(Values):
    """Whom the operator is."""

    create: bool = True
    """False uses one that is there; then it needs a name."""
    name: Name = ""
    """Empty is `kaos-operator`. Its roles have the same name."""
    annotations: dict[str, str] = {}
    """Of the ServiceAccount."""


class Rbac(Values):
    """What the operator may do."""

    create: bool = True
    """Make its roles and bindings."""
    scope: Literal["cluster", "namespace"] = "cluster"
    """`namespace` serves `namespaces` only, with Roles there and nothing that is cluster-wide: no ClusterRole, no
    admission policy, no roles for people."""
    namespaces: Annotated[list[Namespace], Field(json_schema_extra={"uniqueItems": True})] = []
    """The namespaces to serve with scope `namespace`. They have to be there."""


class DefaultImages(Values):
    """The image of everything that is no image of your own. None is tagged `latest`."""

    agent_runtime: ImageRef = Settings.agent_image
    """Agents."""
    mcp_raw_python: ImageRef
    """The runtime rawpython."""
    litellm: ImageRef = Settings.litellm_image
    """ModelAPIs in mode Proxy."""
    ollama: ImageRef = Settings.ollama_image
    """ModelAPIs in mode Hosted."""
    mcp_kubernetes: ImageRef
    """The runtime kubernetes."""
    mcp_slack: ImageRef
    """The runtime slack."""
    mcp_discord: ImageRef
    """The runtime discord."""
    mcp_fetch: ImageRef
    """The runtime fetch."""


def default_images() -> DefaultImages:
    """The images that the built-in plugins say, under the seed's names (S4.96)."""
    from kaos_core.registry import Registry

    found = Registry.build(Plugins.installed()).by_name
    return DefaultImages(**{key: found[name].runtime.image for name, key in IMAGES_OF_RUNTIMES.items()})


_TYPES: dict[str, Any] = {
    "str": str,
    "bool": bool,
    "int": Port,
    "int | None": Annotated[int, Field(ge=0)],
    "str | None": str,
    "tuple[str, ...]": list[str],
    "Mapping[str, Any] | None": Object,
    "Local | None": Object,
    "Literal['python', 'nodejs', 'go', '']": Literal["python", "nodejs", "go"],
    "Literal['http', 'stdio']": Literal["http", "stdio"],
}
"""A field's type in `Runtime` -> what its value may be here."""


def _runtime_entry() -> type[BaseModel]:
    """An entry of the registry as it may stand in the values: every field of a `Runtime` but the name, none required.

    Those that are left out come from the plugin of that name, if there is one. The operator has the last word.
    """
    texts = _attributes(Runtime)
    made: dict[str, Any] = {}
    for field in fields(Runtime):
        if field.name != "name":
            text = texts.get(field.name, "")
            made[field.name] = (_TYPES[str(field.type)], Field(None, description=f"{text[:1].upper()}{text[1:]}"))
    return create_model("RuntimeEntry", __base__=Values, **made)


def _attributes(of: type) -> dict[str, str]:
    _, _, part = (of.__doc__ or "").partition("Attributes:\n")
    return {name.strip(): text.strip() for name, _, text in (line.partition(": ") for line in part.splitlines())}


RuntimeEntry = _runtime_entry()
Entries = Annotated[
    dict[str, RuntimeEntry],  # type: ignore[valid-type]  # made from the fields of Runtime
    Field(json_schema_extra={"propertyNames": {"pattern": rf"^{_DNS}$", "not": {"const": CUSTOM}}}),
]


class McpRuntimes(Values):
    """Runtimes beside the built-in ones, in the ConfigMap `kaos-mcp-runtimes`."""

    additional_runtimes: Entries = {}
    """By name, as [the reference](../../docs/reference/runtimes.md) has it. A name that is there already has single
    fields replaced."""
    custom: Entries = {}
    """The same under another name; an entry stands in one of the two."""


class GatewayTimeouts(Values):
    """Request timeouts of routes that set none; `0s` is none."""

    mcpserver: Duration = Environment.mcpserver_timeout
    """To MCPServers."""
    agent: Duration = Environment.agent_timeout
    """To Agents."""
    modelapi: Duration = Environment.modelapi_timeout
    """To ModelAPIs."""


class GatewayTls(Values):
    """HTTPS at the Gateway that the chart makes."""

    secret_name: Name = ""
    """The Secret of its certificate, in the release's namespace. Empty is plain HTTP."""
    port: Port = 443
    """Its port."""


class GatewayApi(Values):
    """Routes to everything that KAOS serves."""

    enabled: bool = False
    """Give every resource an HTTPRoute. It needs the Gateway API's CRDs and a controller."""
    create_gateway: bool = False
    """Make the Gateway too, in the release's namespace."""
    gateway_class_name: Name = ""
    """Of which class; needed to make one."""
    name: Name = "kaos-gateway"
    """The Gateway's name."""
    namespace: Name = ""
    """Where it is; empty is the release's namespace."""
    hostname: Annotated[str, Field(pattern=r"^\S*$", max_length=253)] = ""
    """The host name that people use. Empty takes every name."""
    port: Port = 80
    """Where a Gateway that the chart makes listens for HTTP."""
    annotations: dict[str, str] = {}
    """Of the Gateway."""
    tls: GatewayTls = GatewayTls()
    timeouts: GatewayTimeouts = GatewayTimeouts()


class Telemetry(Values):
    """Where what KAOS runs sends its traces, when a resource says nothing else."""

    enabled: bool = False
    """Send them to `endpoint`."""
    endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """OTLP over HTTP, such as `http://collector.observability:4318`."""


class ServiceMonitor(Values):
    """For the Prometheus operator; it needs its CRDs."""

    enabled: bool = False
    """Make a ServiceMonitor."""
    labels: dict[str, str] = {}
    """By which your Prometheus finds it."""
    interval: Duration = "30s"
    """Between two looks."""


class Dashboards(Values):
    """For Grafana's sidecar."""

    enabled: bool = False
    """Make a ConfigMap with the dashboard."""
    labels: dict[str, str] = {"grafana_dashboard": "1"}
    """By which the sidecar finds it."""


class Rules(Values):
    """Alerts, for the Prometheus operator."""

    enabled: bool = False
    """Make a PrometheusRule."""
    labels: dict[str, str] = {}
    """By which your Prometheus finds it."""


class Metrics(Values):
    """What watches the operator."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    dashboards: Dashboards = Dashboards()
    rules: Rules = Rules()


class PodDisruptionBudget(Values):
    """Of the operator's pods. Servers go on without it."""

    enabled: bool = False
    """Make one."""
    max_unavailable: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9]{1,3}%$")] = 1
    """How many may be missing at a time."""


class NetworkPolicy(Values):
    """Who may reach the operator's port, and what it may reach."""

    enabled: bool = False
    """Make one. The node's own probes are not its concern."""
    allowed_from: Annotated[list[Object], Field(alias="from")] = []
    """NetworkPolicyPeers that may ask for metrics; empty is everybody."""
    egress: list[Object] = []
    """NetworkPolicyEgressRules. Empty leaves it free: it has to reach the API server, DNS, and every server's pods."""


class Enabled(Values):
    """One switch."""

    enabled: bool = True
    """Only with `rbac.scope: cluster`."""


class Plugins_(Values):  # noqa: N801  Plugins is the one of the core
    """Those that the operator's image holds."""

    disabled: list[str] = []
    """Names to leave out."""
    strict: bool = False
    """A broken one keeps the operator from starting."""


class Workloads(Values):
    """Defaults of everything that KAOS runs."""

    image_pull_secrets: list[Name] = []
    """Names of Secrets, added to every pod. They have to be in the pods' namespaces."""
    log_level: Literal["", "DEBUG", "INFO", "WARNING", "ERROR"] = ""
    """`LOG_LEVEL` of what sets none."""
    pod_security: Level = "restricted"
    """What all namespaces allow with `rbac.scope: namespace`, where their labels cannot be read."""


ELSEWHERE = {
    "KAOS_NAMESPACE",
    "KAOS_WATCH_NAMESPACES",
    "KAOS_IDENTITY",
    "KAOS_LEADER_ELECTION",
    "KAOS_LEASE",
    "KAOS_HTTP_HOST",
    "KAOS_HTTP_PORT",
    "KAOS_LOG_LEVEL",
    "KAOS_LOG_FORMAT",
    "KAOS_GATEWAY",
    "KAOS_GATEWAY_HOSTS",
    "KAOS_MCPSERVER_TIMEOUT",
    "KAOS_AGENT_TIMEOUT",
    "KAOS_MODELAPI_TIMEOUT",
    "KAOS_AGENT_IMAGE",
    "KAOS_LITELLM_IMAGE",
    "KAOS_OLLAMA_IMAGE",
    "KAOS_IMAGE_PULL_SECRETS",
    "KAOS_OTLP_ENDPOINT",
    "KAOS_WORKLOAD_LOG_LEVEL",
    "KAOS_POD_SECURITY",
}
"""Variables of the operator that have values of their own, or that the chart decides."""


def _tuning() -> type[BaseModel]:
    """The operator's other settings: `maxRequests` is `KAOS_MAX_REQUESTS`."""
    made: dict[str, Any] = {}
    for setting in fields(Environment):
        variable = setting.metadata["variable"]
        if variable not in ELSEWHERE:
            name = variable.removeprefix("KAOS_").lower()
            whole = isinstance(setting.default, int)
            of: Any = str if isinstance(setting.default, str) else int if whole else float
            bounds: Any = {} if of is str else {"ge": 0, "lt": 1e9}
            text = f"{setting.metadata['text']} Default: {setting.default if of is str else f'{setting.default:g}'}."
            made[name] = (of, Field(None, alias=camel(name), description=text, **bounds))
    return create_model("Tuning", __base__=Values, **made)


Tuning = _tuning()


class ChartValues(Values):
    """All values of `charts/kaos`."""

    global_: Annotated[Global, Field(alias="global")] = Global()
    image: Image = Image()
    image_pull_secrets: list[Object] = []
    """For the operator's own pod: `[{name: …}]`."""
    replica_count: Annotated[int, Field(ge=0)] = 1
    """How many operators run; one of them writes, the others wait to take over."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much the operator says."""
    log_format: Literal["json", "text"] = "json"
    """Of the operator: one JSON object on a line, or text."""
    resources: Object = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    """Of the operator. Thousands of resources need more memory."""
    node_selector: dict[str, str] = {}
    """On which nodes the operator may run."""
    tolerations: list[Object] = []
    """Taints that it tolerates."""
    affinity: Object = {}
    """Where it likes to run."""
    topology_spread_constraints: list[Object] = []
    """How several of them are spread."""
    priority_class_name: Name = ""
    """A PriorityClass that is there."""
    pod_labels: dict[str, str] = {}
    """More labels of its pod."""
    pod_annotations: dict[str, str] = {}
    """Annotations of its pod."""
    pod_security_context: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    """Of its pod. With `securityContext` it meets the Pod Security Standard `restricted`."""
    security_context: Object = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    """Of its container."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] = 30
    """For it to finish what it is writing, and to give the Lease back."""
    extra_env: list[Object] = []
    """EnvVars of the operator's container."""
    extra_volumes: list[Object] = []
    """Volumes of the operator's pod."""
    extra_volume_mounts: list[Object] = []
    """VolumeMounts of the operator's container."""
    extra_objects: list[Object] = []
    """Any objects, made with the others. They are taken as they are; nothing in them is a template."""
    service_account: ServiceAccount = ServiceAccount()
    rbac: Rbac = Rbac()
    admission_policy: Enabled = Enabled()
    """Who may ask for what in our resources (deploy/README.md)."""
    user_roles: Enabled = Enabled()
    """The ClusterRoles kaos-view, kaos-edit and kaos-admin, aggregated into view, edit and admin."""
    default_images: DefaultImages = Field(default_factory=default_images)
    mcp_runtimes: McpRuntimes = McpRuntimes()
    plugins: Plugins_ = Plugins_()
    workloads: Workloads = Workloads()
    gateway_api: Annotated[GatewayApi, Field(alias="gatewayAPI")] = GatewayApi()
    telemetry: Telemetry = Telemetry()
    metrics: Metrics = Metrics()
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    network_policy: NetworkPolicy = NetworkPolicy()
    tuning: Tuning = Tuning()  # type: ignore[valid-type]  # made from the fields of Environment
    """The operator's other settings, each a variable of the
    [reference](../../docs/reference/environment-variables.md)."""
