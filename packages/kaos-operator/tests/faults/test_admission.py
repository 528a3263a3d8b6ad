"""F4: admission refuses the Deployment. Told with the server's own words, and tried at once when something changes.

The operator serves the whole cluster here, and pauses for so long after a failure that only an event wakes it.
"""

import pytest

LABEL = "faults.example/deny"
WORDS = "the team's quota of Deployments is used up; " * 40
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture(scope="module")
def settings():
    return {"KAOS_RETRY_FIRST": "300"}


@pytest.fixture(scope="module")
def scope():
    return []


@pytest.fixture(scope="module")
def denying(control_plane, home, world):
    """Deployments are denied in namespaces with the label, unless they have three replicas."""
    meta = {"name": home}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": meta,
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {LABEL: "yes"}},
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
            },
            "validations": [{"expression": "object.spec.replicas == 3", "message": WORDS}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": meta,
        "spec": {"policyName": home, "validationActions": ["Deny"]},
    }
    for path, document in ((POLICIES, policy), (POLICIES.replace("policies", "policybindings"), binding)):
        status, answer = control_plane.request("POST", path, document)
        assert status == 201, answer
    label(control_plane, home, "yes")
    world.until(lambda: denied(control_plane, home))
    yield
    for path in (POLICIES, POLICIES.replace("policies", "policybindings")):
        control_plane.request("DELETE", f"{path}/{home}")


def label(plane, namespace, value):
    patch = {"metadata": {"labels": {LABEL: value}}}
    plane.request("PATCH", f"/api/v1/namespaces/{namespace}", patch, content_type="application/merge-patch+json")


def denied(plane, namespace):
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "example.test/i:1"}]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "try"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod},
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All"
    return plane.request("POST", path, deployment)[0] == 422


@pytest.mark.parametrize("change", ["spec", "namespace"])
def test_a_deployment_that_admission_denies_is_told_and_tried_again_at_once(world, denying, oracles, change):
    """F4: AdmissionDenied with the server's message, within its bounds; an edit or a label brings it through."""
    name = f"denied-{change}"
    world.create(world.server(name))
    said = world.until_condition("MCPServer", name, "Programmed", "False", "AdmissionDenied")
    assert "quota of Deployments is used up" in said["message"]
    assert len(said["message"].encode()) <= 1024
    world.quiet(0.5)
    oracles.steady()

    if change == "spec":
        world.edit("MCPServer", name, replicas=3)
    else:
        label(world.plane, world.namespace, "no")

    world.until_programmed(name)
