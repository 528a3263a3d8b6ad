"""Pod Security Standards: every control that can be violated is named at its level."""

from __future__ import annotations

import pytest

from kaos_core.manifests.pod_security import violations

CLEAN = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}


def with_context(**context):
    (container,) = CLEAN["containers"]
    return {**CLEAN, "containers": [{**container, "securityContext": {**container["securityContext"], **context}}]}


def test_a_clean_pod_violates_nothing():
    assert violations(CLEAN, "restricted") == []


BASELINE = [
    ({**CLEAN, "hostNetwork": True}, "hostNamespaces (hostNetwork)"),
    ({**CLEAN, "hostIPC": True}, "hostNamespaces (hostIPC)"),
    ({**CLEAN, "volumes": [{"name": "h", "hostPath": {}}]}, "hostPathVolumes (volume h)"),
    ({**CLEAN, "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}}}, "seccompProfile"),
    (with_context(privileged=True), "privileged (container c)"),
    (with_context(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}), "adds NET_RAW"),
    (with_context(procMount="Unmasked"), "procMount (container c)"),
    (with_context(seccompProfile={"type": "Unconfined"}), "seccompProfile (container c)"),
    ({**CLEAN, "containers": [{**CLEAN["containers"][0], "ports": [{"hostPort": 80}]}]}, "hostPorts (container c)"),
]
RESTRICTED = [
    ({**CLEAN, "volumes": [{"name": "n", "nfs": {}}]}, "restrictedVolumes (volume n is nfs)"),
    (with_context(allowPrivilegeEscalation=True), "allowPrivilegeEscalation (container c)"),
    (with_context(capabilities={}), "capabilities (container c)"),
    (with_context(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}), "capabilities (container c)"),
    (with_context(runAsNonRoot=False), "runAsNonRoot (container c)"),
    (with_context(runAsUser=0), "runAsUser (container c runs as root)"),
    ({**CLEAN, "securityContext": {"runAsNonRoot": True}}, "seccompProfile (container c)"),
    ({**CLEAN, "initContainers": [{"name": "i"}]}, "capabilities (container i)"),
]


@pytest.mark.parametrize(("pod", "control"), BASELINE)
def test_baseline_controls(pod, control):
    """B35"""
    for level in ("baseline", "restricted"):
        (problem,) = violations(pod, level)
        assert control in problem.message
        assert problem.reason == "PodSecurityViolation"
        assert "pod-security=privileged" in problem.hint
    assert violations(pod, "privileged") == []


@pytest.mark.parametrize(("pod", "control"), RESTRICTED)
def test_restricted_controls(pod, control):
    """B35"""
    (problem,) = violations(pod, "restricted")
    assert control in problem.message
    assert "pod-security=baseline" in problem.hint
    assert violations(pod, "baseline") == []


def test_what_restricted_allows_is_allowed():
    assert violations(with_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), "restricted") == []
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {}}, {"name": "c", "secret": {}}]
    assert violations({**CLEAN, "volumes": volumes}, "restricted") == []
