"""Admission: who may ask for what, as a ValidatingAdmissionPolicy. `deploy/` and the chart are generated from here.

The operator makes pods with its own rights, for authors who may have none on pods. Two things must not come of that:
that an author who may not create pods gets one that runs as a ServiceAccount or has its token (B38), and that anybody
gets a pod beyond what the namespace's label `kaos.tools/pod-security` allows (B35).

A resource whose spec stays as it is passes: neither status nor labels nor garbage collection are hindered. The other
way round, who changes anything of a spec that borrows a ServiceAccount, `params` say, borrows it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kaos_core.manifests.names import GROUP, POD_SECURITY_LABEL, VERSION
from kaos_core.manifests.pod_security import BASELINE_CAPABILITIES, RESTRICTED_VOLUMES

Object = dict[str, Any]
NAME = "kaos-resources"
OWN_VOLUMES = ("configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret")
"""What everybody may have in `spec.volumes`, projected ones without a token. Drivers (`csi`) may hand out anything."""

_API = "admissionregistration.k8s.io/v1"
_LABELS = {"app.kubernetes.io/name": "kaos-operator", "app.kubernetes.io/part-of": "kaos"}


def manifests(plurals: Iterable[str]) -> list[Object]:
    """The policy and its binding; `plurals` are those of our kinds."""
    matched = {
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": ["CREATE", "UPDATE"],
        "resources": sorted(plurals),
        "scope": "Namespaced",
    }
    changed = "request.operation == 'CREATE' || object.spec != oldObject.spec"
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [matched]},
        "matchConditions": [{"name": "spec-changes", "expression": changed}],
        "variables": [{"name": name, "expression": text} for name, text in _variables().items()],
        "validations": [
            {
                "expression": "variables.reaching.size() == 0 || variables.mayCreatePods",
                "messageExpression": "variables.reaching.join(', ') + ': only for those who may create pods in "
                "namespace ' + request.namespace + '; leave it out, or ask for that right'",
                "reason": "Forbidden",
            },
            {
                "expression": "variables.violations.size() == 0",
                "messageExpression": "'not allowed at level ' + variables.level + ': ' + "
                f"variables.violations.join('; ') + '; label the namespace {POD_SECURITY_LABEL}=' + "
                "(variables.baseline.size() == 0 ? 'baseline' : 'privileged') + ' if that is meant'",
                "reason": "Forbidden",
            },
        ],
    }
    binding = {"policyName": NAME, "validationActions": ["Deny"]}
    return [_object("ValidatingAdmissionPolicy", policy), _object("ValidatingAdmissionPolicyBinding", binding)]


def _object(kind: str, spec: Object) -> Object:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": NAME, "labels": _LABELS}, "spec": spec}


def _variables() -> dict[str, str]:
    """CEL by name; an expression may use those before it.

    podSpec may be of any shape, so each step looks at the type first. What has the wrong one passes here, and the
    operator refuses it with a condition that says why (B34).
    """
    return {**_parts(), "reaching": _reaching(), "mayCreatePods": _MAY_CREATE_PODS, **_pod_security()}


_MAY_CREATE_PODS = "authorizer.group('').resource('pods').namespace(request.namespace).check('create').allowed()"


def _parts() -> dict[str, str]:
    """What of a spec becomes a pod."""
    return {
        "spec": "dyn(object.spec)",
        "pod": "has(variables.spec.podSpec) ? variables.spec.podSpec : {}",
        "containers": f"{_mappings('variables.pod', 'containers')}\n+ {_mappings('variables.pod', 'initContainers')}",
        "volumes": f"{_mappings('variables.spec', 'volumes')}\n+ {_mappings('variables.pod', 'volumes')}",
        "contexts": """\
(variables.containers + [variables.pod])
  .filter(it, 'securityContext' in it && type(it['securityContext']) == map)
  .map(it, it['securityContext'])
+ ('security' in variables.spec ? [variables.spec['security']] : [])""",
        "added": """\
variables.contexts
  .filter(it, 'capabilities' in it && type(it['capabilities']) == map)
  .map(it, it['capabilities'])
  .filter(it, 'add' in it && type(it['add']) == list)
  .map(it, it['add'])""",
    }


def _mappings(parent: str, field: str) -> str:
    """The mappings in a list that may be missing, or be no list."""
    found = f"{parent}['{field}']"
    return f"('{field}' in {parent} && type({found}) == list ? {found}.filter(it, type(it) == map) : [])"


def _reaching() -> str:
    """Where the spec asks for more than `spec.container` can give, as field paths.

    A ServiceAccount has many doors beside `serviceAccountName`: two names in podSpec, its token switched on there, a
    projected token, the node's files. Rather than to shut each, podSpec may say for everybody what `spec.container`
    says too, of containers and with the same fields (the seed's examples set resources so), and nothing else.
    """
    from kaos_core.resources.container import ContainerOverride

    own = _texts({"name", *(field.alias or name for name, field in ContainerOverride.model_fields.items())})
    return f"""\
('serviceAccountName' in variables.spec ? ['spec.serviceAccountName'] : [])
+ variables.pod.filter(key, key != 'containers').map(key, 'spec.podSpec.' + key)
+ variables.containers
  .map(it, it.filter(key, !(key in {own})))
  .filter(keys, keys.size() > 0)
  .map(keys, 'spec.podSpec.containers[].' + keys[0])
+ {_mappings("variables.spec", "volumes")}
  .filter(it, it.exists(source, !(source in {_texts({"name", *OWN_VOLUMES})}))
    || 'projected' in it && (type(it['projected']) != map
      || !('sources' in it['projected'])
      || type(it['projected']['sources']) != list
      || it['projected']['sources'].exists(one, type(one) != map || 'serviceAccountToken' in one)))
  .map(it, 'spec.volumes[' + it['name'] + ']')"""


def _pod_security() -> dict[str, str]:
    """The controls of the Pod Security Standards that a spec can break by asking for something, by their ids (B35).

    The operator looks at the whole pod and at every control (`kaos_core.manifests.pod_security`); this is earlier.
    """
    label = f"namespaceObject.metadata.labels['{POD_SECURITY_LABEL}']"
    return {
        "baseline": _ids(
            {
                "hostNamespaces": "['hostNetwork', 'hostPID', 'hostIPC']"
                ".exists(name, name in variables.pod && variables.pod[name] == true)",
                "hostPathVolumes": "variables.volumes.exists(it, 'hostPath' in it)",
                "privileged": _any_context("'privileged' in it && it['privileged'] == true"),
                "capabilities": _any_added(f"!(name in {_texts(BASELINE_CAPABILITIES)})"),
                "procMount": _any_context(
                    "'procMount' in it && it['procMount'] != null && it['procMount'] != 'Default'"
                ),
                "hostPorts": f"variables.containers.exists(it, {_mappings('it', 'ports')}"
                ".exists(one, 'hostPort' in one && one['hostPort'] != null && one['hostPort'] != 0))",
                "seccompProfile": _any_context(
                    "'seccompProfile' in it && type(it['seccompProfile']) == map && "
                    "'type' in it['seccompProfile'] && it['seccompProfile']['type'] == 'Unconfined'"
                ),
            }
        ),
        "restricted": _ids(
            {
                "restrictedVolumes": "variables.volumes.exists(it, it.exists(source, !source.startsWith('$') && "
                f"!(source in {_texts({'name', 'hostPath', *RESTRICTED_VOLUMES})})))",
                "allowPrivilegeEscalation": _any_context(
                    "'allowPrivilegeEscalation' in it && it['allowPrivilegeEscalation'] == true"
                ),
                "capabilities": _any_added("name != 'NET_BIND_SERVICE'"),
                "runAsNonRoot": _any_context("'runAsNonRoot' in it && it['runAsNonRoot'] == false"),
                "runAsUser": _any_context("'runAsUser' in it && it['runAsUser'] == 0"),
            }
        ),
        "level": f"has(namespaceObject.metadata.labels) && '{POD_SECURITY_LABEL}' in namespaceObject.metadata.labels\n"
        f"&& {label} in ['baseline', 'privileged'] ? {label} : 'restricted'",
        "violations": """\
variables.level == 'privileged' ? []
: variables.level == 'baseline' ? variables.baseline
: variables.baseline + variables.restricted.filter(it, !(it in variables.baseline))""",
    }


def _ids(tests: dict[str, str]) -> str:
    """The names of the tests that hold."""
    return "\n+ ".join(f"({test} ? ['{name}'] : [])" for name, test in tests.items())


def _any_context(test: str) -> str:
    return f"variables.contexts.exists(it, {test})"


def _any_added(test: str) -> str:
    return f"variables.added.exists(it, it.exists(name, {test}))"


def _texts(names: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in sorted(names)) + "]"
