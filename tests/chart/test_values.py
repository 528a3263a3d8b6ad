"""Values are what the model says: what it does not know is refused, and nothing of theirs becomes a template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chart import schema
from chart.values import ChartValues

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kaos"
CI = sorted((CHART / "ci").glob("*-values.yaml"))


@pytest.mark.parametrize(
    ("given", "typo"),
    [
        ("operatr.x=1", "operatr"),
        ("image.repo=x", "repo"),
        ("rbac.scop=namespace", "scop"),
        ("metrics.serviceMonitors.enabled=true", "serviceMonitors"),
        ("defaultImages.mcpRawpython=x", "mcpRawpython"),
        ("tuning.worker=3", "worker"),
        ("mcpRuntimes.additionalRuntimes.mine.imge=x", "imge"),
        ("gatewayAPI.tls.secret=x", "secret"),
    ],
)
def test_a_name_that_the_chart_does_not_know_is_refused(helm: Any, given: str, typo: str):
    done = helm.template("--set", given)
    assert done.returncode != 0
    assert f"'{typo}' not allowed" in done.stderr


def test_the_chart_of_the_crds_has_no_values(helm: Any):
    assert helm.template("--set", "x=1", chart=ROOT / "charts" / "kaos-crds").returncode != 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicaCount": "two"}, "replicaCount"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"rbac": {"scope": "galaxy"}}, "scope"),
        ({"rbac": {"scope": "namespace", "namespaces": ["a", "a"]}}, "namespaces"),
        ({"rbac": {"scope": "namespace", "namespaces": ["Not A Name"]}}, "namespaces"),
        ({"logLevel": "LOUD"}, "logLevel"),
        ({"tuning": {"workers": -1}}, "workers"),
        ({"defaultImages": {"ollama": "two words"}}, "ollama"),
        ({"telemetry": {"endpoint": "collector:4318"}}, "endpoint"),
        ({"gatewayAPI": {"timeouts": {"agent": "2 minutes"}}}, "agent"),
        ({"mcpRuntimes": {"custom": {"mine": {"type": "ruby"}}}}, "type"),
        ({"mcpRuntimes": {"custom": {"mine": {"requiredEnv": "KEY"}}}}, "requiredEnv"),
        ({"mcpRuntimes": {"custom": {"custom": {"type": "python", "image": "x"}}}}, "custom"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(helm: Any, values: dict[str, Any], said: str):
    done = helm.template(values=values)
    assert done.returncode != 0
    assert "schema" in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rbac": {"scope": "namespace"}}, "rbac.scope=namespace needs rbac.namespaces"),
        ({"rbac": {"namespaces": ["a"]}}, "rbac.namespaces is of no use with rbac.scope=cluster"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.create=false needs serviceAccount.name"),
        ({"gatewayAPI": {"createGateway": True}}, "gatewayAPI.createGateway needs gatewayAPI.enabled=true"),
        (
            {"gatewayAPI": {"enabled": True, "createGateway": True}},
            "gatewayAPI.createGateway needs gatewayAPI.gatewayClassName",
        ),
        (
            {"gatewayAPI": {"enabled": True, "createGateway": True, "gatewayClassName": "x", "namespace": "else"}},
            "makes the Gateway in the release's namespace",
        ),
        ({"gatewayAPI": {"enabled": True, "name": ""}}, "gatewayAPI.enabled needs gatewayAPI.name"),
        ({"telemetry": {"enabled": True}}, "telemetry.enabled needs telemetry.endpoint"),
        (
            {"mcpRuntimes": {name: {"mine": {"image": "x"}} for name in ("custom", "additionalRuntimes")}},
            "the runtime mine stands in mcpRuntimes.additionalRuntimes and in mcpRuntimes.custom",
        ),
    ],
)
def test_what_cannot_work_fails_with_a_sentence(helm: Any, values: dict[str, Any], sentence: str):
    done = helm.template(values=values)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_seeds_command_line_is_accepted(helm: Any, rendered: Any):
    got = rendered(helm.render("--set", "gatewayAPI.enabled=true"))
    assert got.env["KAOS_GATEWAY"] == "kaos-system/kaos-gateway"


def test_values_yaml_is_what_the_model_has_by_default():
    written = yaml.safe_load((CHART / "values.yaml").read_text())
    meant = ChartValues().model_dump(by_alias=True, exclude_none=True)
    assert written == meant
    assert ChartValues.model_validate(written) == ChartValues()


@pytest.mark.parametrize("values", CI, ids=[path.stem for path in CI])
def test_model_and_schema_accept_the_same(values: Path):
    given = yaml.safe_load(values.read_text())
    ChartValues.model_validate(given)
    jsonschema.Draft7Validator(schema.values_schema()).validate(given)


def test_the_schema_is_one_and_closed_everywhere():
    """Only what Kubernetes defines, labels, and what a chart around ours says to others may hold any name."""
    made = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(made)
    assert "$ref" not in json.dumps(made)
    assert list(open_objects(made, "")) == [".global"]


def open_objects(node: dict[str, Any], path: str) -> Any:
    if "properties" in node and node.get("additionalProperties") is not False:
        yield path
    for name, child in node.get("properties", {}).items():
        yield from open_objects(child, f"{path}.{name}" if path or name != "global" else ".global")
        if isinstance(child.get("additionalProperties"), dict):
            yield from open_objects(child["additionalProperties"], f"{path}.{name}[]")


NASTY = [
    'a"b\nkind: Secret\n---\napiVersion: v1',
    "{{ .Release.Name }}",
    "${HOME} %s {% raw %}",
    "'; DROP TABLE\r\n  metadata:\n\tname: x",
    "|-\n  runtimes: {}\n",
    "\n\n---\nkind: Pod\n",
    "# no comment: &anchor *alias !!tag",
]


@pytest.mark.parametrize("text", NASTY)
def test_no_value_becomes_yaml_or_a_template(helm: Any, rendered: Any, text: str):
    """B91: as it was given, in one object; nothing more comes out."""
    values = {
        "podAnnotations": {"example.com/note": text},
        "extraEnv": [{"name": "NOTE", "value": text}],
        "plugins": {"disabled": [text]},
        "serviceAccount": {"annotations": {"example.com/note": text}},
        "mcpRuntimes": {"additionalRuntimes": {"mine": {"type": "python", "image": "x:1", "description": text}}},
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"note": text}}
        ],
    }
    got = rendered(helm.render(values=values))
    plain = rendered(helm.render())
    kinds = sorted(one["kind"] for one in plain.objects)
    assert sorted(one["kind"] for one in got.objects) == sorted([*kinds, "ConfigMap"])
    assert got.pod["metadata"]["annotations"]["example.com/note"] == text
    assert (got.env["NOTE"], got.env["KAOS_DISABLED_PLUGINS"]) == (text, text)
    assert got.one("ServiceAccount")["metadata"]["annotations"] == {"example.com/note": text}
    assert got.one("ConfigMap", "note")["data"] == {"note": text}
    runtimes = yaml.safe_load(got.one("ConfigMap", "kaos-mcp-runtimes")["data"]["runtimes.yaml"])
    assert runtimes["runtimes"]["mine"]["description"] == text
    assert len(runtimes["runtimes"]) == 6


@pytest.mark.parametrize("end", ["\u0085", "\u2028", "\u2029", "\r"])
def test_no_other_end_of_a_line_makes_an_object(helm: Any, end: str):
    """YAML knows more of them than \\n."""
    text = f"a{end}---{end}kind: Secret{end}metadata:{end}  name: x{end}---{end}"
    values = {
        "podAnnotations": {"example.com/note": text},
        "plugins": {"disabled": [text]},
        "mcpRuntimes": {"custom": {"mine": {"type": "python", "image": "x:1", "description": text}}},
    }
    assert [one["kind"] for one in helm.render(values=values)] == [one["kind"] for one in helm.render()]


@pytest.mark.parametrize("text", NASTY)
def test_a_name_with_such_a_text_is_refused(helm: Any, text: str):
    for values in (
        {"image": {"tag": text}},
        {"rbac": {"scope": "namespace", "namespaces": [text]}},
        {"serviceAccount": {"name": text}},
        {"gatewayAPI": {"name": text}},
    ):
        assert helm.template(values=values).returncode != 0, values


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["helm test kaos -n kaos-system", "kind: MCPServer", "CRDs are not there", "No gateway"]),
        (["--set", "defaultImages.ollama=alpine/ollama:latest"], ["alpine/ollama:latest: nobody knows"]),
        (
            ["-f", str(CHART / "ci" / "namespace-values.yaml")],
            ["-n team-a", "not part of a release for some namespaces"],
        ),
        (["--set", "admissionPolicy.enabled=false"], ["may run as any ServiceAccount"]),
        (["-f", str(CHART / "ci" / "existing-values.yaml")], ["ingress/shared", "rbac.create=false"]),
    ],
)
def test_the_notes_say_how_to_look_and_what_to_mind(helm: Any, arguments: list[str], said: list[str]):
    done = helm("install", "kaos", CHART, "-n", "kaos-system", "--dry-run=client", *arguments)
    assert done.returncode == 0, done.stderr
    _, _, notes = done.stdout.partition("NOTES:")
    for text in said:
        assert text in notes


def test_the_server_in_the_notes_is_a_good_one(helm: Any):
    import re
    import textwrap

    from kaos_core.kinds import mcpserver

    done = helm("install", "kaos", CHART, "-n", "kaos-system", "--dry-run=client")
    found = re.search(r"<<END\n(.*?)^  END", done.stdout.partition("NOTES:")[2], re.DOTALL | re.MULTILINE)
    assert found
    document = yaml.safe_load(textwrap.dedent(found[1]))
    from kaos_core.crd import crd

    (version,) = crd(mcpserver.KIND)["spec"]["versions"]
    jsonschema.validate(document["spec"], version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    assert "def greet" in document["spec"]["params"]
