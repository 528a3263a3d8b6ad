"""What counts as a change by others: a field of the manifest that the live object contradicts, and nothing else."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_operator.drift import drifted

MANIFEST = {
    "kind": "Deployment",
    "metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {}},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "mcp-server",
                        "image": "i:1",
                        "args": ["a", "b"],
                        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1"}],
                        "ports": [{"containerPort": 8000, "name": "http"}],
                        "resources": {"limits": {"memory": "1024Mi", "cpu": 1}},
                    }
                ],
                "volumes": [],
            }
        }
    },
}


def live(change=lambda _: None):
    """As an API server hands it out: defaults added, quantities in their own form, empty values left out."""
    obj = deepcopy(MANIFEST)
    obj["metadata"] |= {"uid": "u", "resourceVersion": "7", "annotations": {"someone": "else"}}
    obj["spec"]["replicas"] = 5
    pod = obj["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    del pod["volumes"]
    container = pod["containers"][0]
    container["resources"]["limits"] = {"memory": "1Gi", "cpu": "1"}
    container["env"][0] = {"name": "A"}
    container["env"].insert(0, {"name": "INJECTED", "value": "1"})
    pod["containers"].append({"name": "sidecar", "image": "mesh"})
    change(obj)
    return obj


def test_defaults_and_additions_of_others_are_none():
    assert drifted(MANIFEST, live()) == ""


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("metadata.labels.a", lambda obj: obj["metadata"]["labels"].pop("a")),
        ("spec.template.spec.containers[0].image", lambda obj: container(obj).update(image="i:2")),
        ("spec.template.spec.containers[0].args", lambda obj: container(obj)["args"].append("c")),
        ("spec.template.spec.containers[0].env[1]", lambda obj: container(obj)["env"].pop()),
        (
            "spec.template.spec.containers[0].ports[0].containerPort",
            lambda obj: container(obj)["ports"][0].update(containerPort=1),
        ),
        (
            "spec.template.spec.containers[0].resources.limits.memory",
            lambda obj: container(obj)["resources"]["limits"].update(memory="2Gi"),
        ),
        ("spec.template.spec.containers[0]", lambda obj: obj["spec"]["template"]["spec"]["containers"].pop(0)),
    ],
)
def test_a_field_of_ours_that_was_changed_is_named(path, change):
    assert drifted(MANIFEST, live(change)).startswith(path.rpartition("[")[0] or path)


def container(obj):
    return obj["spec"]["template"]["spec"]["containers"][0]


plain = st.recursive(
    st.text(max_size=5) | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["spec", "data"]), plain))
def test_nothing_drifts_from_itself(obj):
    assert drifted(obj, obj) == ""
