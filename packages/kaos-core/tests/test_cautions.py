"""What is legal and still worth a warning: B26, and the moving tag of B29."""

from __future__ import annotations

import pytest

SECRETS = [
    "xoxb-" + "1234567890-abcdef",
    "sk-" + "proj-abcdefghijklmnopqrstuv",
    "ghp_" + "a1" * 18,
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NSJ9" + ".abc-DEF_123",
    "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEabc",
    "token=sk-" + "abcdefghijklmnopqrstuv",
]


@pytest.fixture
def warnings(planned, weather):
    def of(*env, **container):
        found = planned(weather(env=list(env), container=container))
        assert not found.errors
        return {problem.reason: problem for problem in found.problems if problem.severity == "warning"}

    return of


@pytest.mark.parametrize("value", SECRETS, ids=range(len(SECRETS)))
def test_a_value_that_looks_like_a_secret_is_told_by_its_name_alone(warnings, value):
    """B26."""
    problem = warnings({"name": "FINE", "value": "x"}, {"name": "TOKEN", "value": value})["PlaintextSecret"]
    assert problem.path == "spec.container.env[2].value"
    assert "TOKEN" in problem.message
    assert value[-6:] not in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    "value", ["", "xoxb-", "sk-...", "task-force-of-twenty-seven-people", "eyJ.eyJ.x", "def f(): ...", "https://a.b/c"]
)
def test_other_values_are_not_taken_for_secrets(warnings, value):
    assert "PlaintextSecret" not in warnings({"name": "A", "value": value})


def test_a_reference_is_no_value(warnings):
    source = {"secretKeyRef": {"name": "sk-abcdefghijklmnopqrstuv", "key": "token"}}
    assert "PlaintextSecret" not in warnings({"name": "A", "valueFrom": source})


@pytest.mark.parametrize("image", ["busybox", "a/b:latest", "reg.example:5000/a/b", "reg.example:5000/a/b:latest"])
def test_an_image_whose_tag_moves_is_told(warnings, image):
    """B29."""
    problem = warnings(image=image)["MutableTag"]
    assert (problem.path, image in problem.message) == ("spec.container.image", True)


@pytest.mark.parametrize("image", ["a/b:1", "reg.example:5000/a/b:v2", "a/b:latest@sha256:" + "a" * 64])
def test_a_version_or_a_digest_is_fine(warnings, image):
    """B29."""
    assert "MutableTag" not in warnings(image=image)
