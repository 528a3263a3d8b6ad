"""The shape of a PodSpec, as far as KAOS itself reads it: a podSpec that breaks it is told so before it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaos_core.errors import MergeError

if TYPE_CHECKING:
    from kaos_core.manifests import Object

_MAPPINGS = ("seccompProfile", "capabilities", "seLinuxOptions", "appArmorProfile", "windowsOptions")


def check_shape(pod_spec: Object, main: str, path: str) -> None:
    """Check a merged PodSpec; `main` is the container that must be in it.

    Raises:
        MergeError: it is gone, or a part that security defaults are filled into is not what a PodSpec has there.
    """
    if all(container["name"] != main for container in pod_spec.get("containers") or []):
        hint = f"override its fields by name: containers: [{{name: {main}, …}}]"
        raise MergeError(f"the container {main} cannot be removed", path=f"{path}.containers", hint=hint)
    _check_context(pod_spec, path)
    for group in ("initContainers", "containers"):
        for container in pod_spec.get(group) or []:
            _check_context(container, f"{path}.{group}[{container['name']}]")


def _check_context(holder: Mapping[str, Any], path: str) -> None:
    path = f"{path}.securityContext"
    context = _mapping(holder.get("securityContext"), path)
    for name in _MAPPINGS:
        _mapping(context.get(name), f"{path}.{name}")
    for name, values in (context.get("capabilities") or {}).items():
        if values is not None and not (isinstance(values, list) and all(isinstance(item, str) for item in values)):
            raise MergeError(f"{values!r} is no list of capabilities", path=f"{path}.capabilities.{name}")


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping | None):
        raise MergeError(f"{value!r} is no mapping", path=path)
    return value or {}
