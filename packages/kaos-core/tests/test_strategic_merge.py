"""podSpec is a strategic merge patch: lists merge by their keys as on the server, and what does not fit is said."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_core.errors import MergeError
from kaos_core.strategic_merge import merge

BASE = {
    "containers": [{"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}],
    "nodeSelector": {"env": "prod"},
    "tolerations": [{"key": "x"}],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}

VALUES = st.text("ab", max_size=2) | st.integers(0, 3) | st.booleans()
ENV = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("ABC")}, optional={"value": VALUES}),
    max_size=3,
    unique_by=lambda e: e["name"],
)
CONTAINER = st.fixed_dictionaries(
    {"name": st.sampled_from(["main", "side", "third"])},
    optional={
        "image": VALUES,
        "env": ENV,
        "resources": st.dictionaries(st.sampled_from(["env", "limits"]), VALUES, max_size=2),
    },
)
POD = st.fixed_dictionaries(
    {},
    optional={
        "containers": st.lists(CONTAINER, max_size=3, unique_by=lambda c: c["name"]),
        "nodeSelector": st.dictionaries(st.sampled_from(["env", "disk", "volumes"]), VALUES, max_size=3),
        "tolerations": st.lists(VALUES, max_size=3),
        "hostNetwork": st.booleans(),
    },
)
ODD = st.recursive(
    st.none() | VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "containers",
                    "env",
                    "volumes",
                    "ports",
                    "securityContext",
                    "x",
                    "containerPort",
                    "mountPath",
                    "$patch",
                    "$retainKeys",
                    "$setElementOrder/containers",
                    "$deleteFromPrimitiveList/x",
                ]
            ),
            inner | st.sampled_from(["delete", "replace", "merge"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(POD, POD)
def test_merging_twice_changes_nothing_more(base, patch):
    once = merge(base, patch)
    assert merge(once, patch) == once


@given(POD)
def test_an_empty_patch_changes_nothing(base):
    assert merge(base, {}) == base
    assert merge({}, base) == base


@given(POD, POD)
def test_neither_side_is_changed(base, patch):
    before = copy.deepcopy((base, patch))
    merge(base, patch)
    assert (base, patch) == before


def by_name(value):
    """Lists with a merge key as mappings: what a merge means, whatever the order."""
    if isinstance(value, dict):
        return {key: by_name(item) for key, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {item["name"]: by_name(item) for item in value}
    return value


@given(POD, POD, POD)
def test_patches_may_be_merged_with_each_other_first(base, first, second):
    assert by_name(merge(merge(base, first), second)) == by_name(merge(base, merge(first, second)))


def expected(base, patch):
    """The rules in their plainest words, for data without directives or nulls, order aside."""
    if isinstance(base, dict) and isinstance(patch, dict):
        keys = {**base, **patch}
        return {key: expected(base[key], patch[key]) if key in base and key in patch else keys[key] for key in keys}
    return patch


@given(POD, POD)
def test_a_merge_is_what_the_rules_say(base, patch):
    # An empty list with a merge key adds nothing, so it is left out of the comparison.
    patch = {key: value for key, value in patch.items() if value != [] or key == "tolerations"}
    for container in patch.get("containers", []):
        if container.get("env") == []:
            del container["env"]
    assert by_name(merge(base, patch)) == expected(by_name(base), by_name(patch))


@given(ODD)
def test_any_patch_merges_or_says_why_not(patch):
    try:
        merge(BASE, patch, "spec.podSpec")
    except MergeError as error:
        assert error.path.startswith("spec.podSpec")
        assert error.reason == "InvalidPodSpec"


@pytest.mark.parametrize(
    ("patch", "field", "value"),
    [
        ({"nodeSelector": None}, "nodeSelector", None),
        ({"nodeSelector": {"disk": "ssd"}}, "nodeSelector", {"env": "prod", "disk": "ssd"}),
        ({"nodeSelector": {"env": None}}, "nodeSelector", {}),
        ({"nodeSelector": {"$patch": "replace", "disk": "ssd"}}, "nodeSelector", {"disk": "ssd"}),
        ({"nodeSelector": {"$patch": "delete"}}, "nodeSelector", None),
        ({"nodeSelector": {"$retainKeys": ["disk"], "disk": "ssd"}}, "nodeSelector", {"disk": "ssd"}),
        ({"tolerations": [{"key": "y"}]}, "tolerations", [{"key": "y"}]),
        (
            {"affinity": {"nodeAffinity": None, "podAffinity": {"x": {"$patch": "delete"}}}},
            "affinity",
            {"podAffinity": {}},
        ),
        ({"volumes": [{"name": "tmp", "$patch": "delete"}]}, "volumes", []),
        ({"volumes": [{"$patch": "replace"}, {"name": "data"}]}, "volumes", [{"name": "data"}]),
        ({"imagePullSecrets": [{"name": "a"}]}, "imagePullSecrets", [{"name": "a"}]),
    ],
)
def test_directives_and_nulls(patch, field, value):
    assert merge(BASE, patch).get(field) == value


def test_containers_and_their_lists_merge_by_name():
    patch = {"containers": [{"name": "main", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}
    (main,) = merge(BASE, patch)["containers"]
    assert main["image"] == "a:1"
    assert {entry["name"]: entry["value"] for entry in main["env"]} == {"A": "1", "B": "3", "C": "4"}


def test_order_is_the_servers():
    """Items of the patch first, but none before an older one that stood before it; `$setElementOrder` decides."""
    env = [{"name": "A"}, {"name": "B"}]
    names = lambda patch: [item["name"] for item in merge({"env": env}, patch)["env"]]  # noqa: E731 said once
    assert names({"env": [{"name": "B"}, {"name": "C"}]}) == ["A", "B", "C"]
    assert names({"env": [{"name": "C"}]}) == ["C", "A", "B"]
    assert names({"env": [{"name": "C"}], "$setElementOrder/env": [{"name": n} for n in "BCA"]}) == ["B", "C", "A"]


def test_primitives_are_deleted_and_ordered():
    base = {"x": ["a", "b", "c"]}
    assert merge(base, {"$deleteFromPrimitiveList/x": ["b"]})["x"] == ["a", "c"]
    assert merge(base, {"$setElementOrder/x": ["c", "a"]})["x"] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("patch", "path", "says"),
    [
        ({"containers": "x"}, "spec.podSpec.containers", "'x' cannot be merged with a list"),
        ({"containers": {"main": {}}}, "spec.podSpec.containers", "a mapping cannot be merged with a list"),
        ({"initContainers": "x"}, "spec.podSpec.initContainers", "'x' cannot be merged with a list"),
        ({"nodeSelector": ["x"]}, "spec.podSpec.nodeSelector", "a list cannot be merged with a mapping"),
        ({"nodeSelector": 1}, "spec.podSpec.nodeSelector", "1 cannot be merged with a mapping"),
        ({"containers": ["x"]}, "spec.podSpec.containers[0]", "must be a mapping with name"),
        ({"containers": [{"image": "x"}]}, "spec.podSpec.containers[0]", "must have name"),
        ({"containers": [{"name": ["x"]}]}, "spec.podSpec.containers[0]", "name must be a plain value"),
        (
            {"containers": [{"name": "new", "env": "x"}]},
            "spec.podSpec.containers[new].env",
            "cannot be merged with a list",
        ),
        (
            {"nodeSelector": {"$patch": "add"}},
            "spec.podSpec.nodeSelector",
            "'add' is not one of delete, merge, replace",
        ),
        ({"$retainKeys": 5}, "spec.podSpec", "$retainKeys takes a list"),
        ({"$deleteFromPrimitiveList/nodeSelector": []}, "spec.podSpec.nodeSelector", "a list cannot be merged"),
    ],
)
def test_what_does_not_fit_is_said_with_its_path(patch, path, says):
    """B34"""
    with pytest.raises(MergeError) as refused:
        merge(BASE, patch, "spec.podSpec")
    assert refused.value.path == path
    assert says in refused.value.message
