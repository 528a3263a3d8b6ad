"""Kubernetes strategic merge patch, for `spec.podSpec` on the generated PodSpec.

Lists with a merge key merge by it, every other list is replaced, null deletes, and the `$patch`, `$retainKeys`,
`$setElementOrder` and `$deleteFromPrimitiveList` directives mean what they mean to `kubectl patch --type=strategic`.
Source: Kubernetes API conventions, "Strategic merge patch"; the merge keys are those of the server's OpenAPI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaos_core.errors import MergeError

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "volumes": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
}
_CONTAINERS = {"containers", "initContainers", "ephemeralContainers"}
_PATCH = "$patch"


def merge(base: Any, patch: Any, path: str = "") -> Any:
    """`patch` (a PodSpec's or a container's, in plain data) laid over `base`; neither is changed.

    What the patch does not name is shared with `base`.

    `path` names the field in errors.

    Raises:
        MergeError: a mapping meets a list or a plain value, an item lacks its merge key, or a directive is no use.
    """
    return _merge(base, patch, path, keyed=True)


def _merge(base: Any, patch: Any, path: str, *, keyed: bool) -> Any:
    """`keyed`: fields here may be lists with a merge key. Deeper down `env` is a label or a node's, not a list."""
    if patch is None:
        return None
    if keyed and _field(path) in MERGE_KEYS and not isinstance(patch, list):
        raise _clash(path, [] if base is None else base, patch)
    if isinstance(patch, Mapping):
        if not isinstance(base, Mapping | None):
            raise _clash(path, base, patch)
        return _merge_mapping(base or {}, patch, path, keyed=keyed)
    if isinstance(patch, list):
        if not isinstance(base, list | None):
            raise _clash(path, base, patch)
        return _merge_list(base or [], patch, path, MERGE_KEYS.get(_field(path)) if keyed else None)
    if isinstance(base, Mapping | list):
        raise _clash(path, base, patch)
    return patch


def _merge_mapping(base: Mapping[str, Any], patch: Mapping[str, Any], path: str, *, keyed: bool) -> Any:
    directive = patch.get(_PATCH)
    if directive == "delete":
        return None
    if directive == "replace":
        return _clean(patch)
    if directive not in (None, "merge"):
        raise MergeError(f"{_PATCH}: {directive!r} is not one of delete, merge, replace", path=path)
    kept = _directive_list(patch, "$retainKeys", path) if "$retainKeys" in patch else None
    merged = {key: value for key, value in base.items() if kept is None or key in kept}
    for key, value in patch.items():
        at = f"{path}.{key}" if path else key
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            dropped = _directive_list(patch, key, path)
            merged[name] = [item for item in _items(merged, name, path) if item not in dropped]
        elif key.startswith("$"):
            continue
        elif value is None or _deletes(value):
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value, at, keyed=keyed and key in MERGE_KEYS)
    for key in patch:
        if key.startswith("$setElementOrder/"):
            name = key.partition("/")[2]
            merge_key = MERGE_KEYS.get(name) if keyed else None
            merged[name] = _ordered(_items(merged, name, path), _directive_list(patch, key, path), merge_key)
    return merged


def _merge_list(base: list[Any], patch: list[Any], path: str, key: str | None) -> list[Any]:
    if key is None:
        cleaned: list[Any] = _clean(patch)
        return cleaned
    for index, item in enumerate(patch):
        if not isinstance(item, Mapping):
            raise MergeError(f"an item must be a mapping with {key}, found {item!r}", path=f"{path}[{index}]")
        if key not in item and item.get(_PATCH) != "replace":
            raise MergeError(
                f"an item must have {key}, by which items of this list are merged", path=f"{path}[{index}]"
            )
        if not isinstance(item.get(key, ""), str | int):
            raise MergeError(f"{key} must be a plain value, found {item[key]!r}", path=f"{path}[{index}]")
    if any(item.get(_PATCH) == "replace" for item in patch):
        return [_clean(item) for item in patch if item.get(_PATCH) != "replace"]
    before = {item.get(key): item for item in base}
    place = {name: index for index, name in enumerate(before)}
    deleted = {item[key] for item in patch if item.get(_PATCH) == "delete"}
    inside = _field(path) in _CONTAINERS
    patched = [
        _merge(before.get(item[key]), item, f"{path}[{item[key]}]", keyed=inside)
        for item in patch
        if item.get(_PATCH) != "delete"
    ]
    named = {item[key] for item in patched}
    untouched = [item for name, item in before.items() if name not in named and name not in deleted]
    # The server's order: items of the patch first, but none of them moves before an older item that stood before it.
    merged: list[Any] = []
    while patched and untouched:
        first_is_patched = place.get(patched[0][key], -1) < place[untouched[0].get(key)]
        merged.append((patched if first_is_patched else untouched).pop(0))
    return [*merged, *patched, *untouched]


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    wanted = [entry.get(key) if key and isinstance(entry, Mapping) else entry for entry in order]

    def place(item: Any) -> int:
        named = item.get(key) if key and isinstance(item, Mapping) else item
        return wanted.index(named) if named in wanted else len(wanted)

    return sorted(items, key=place)


def _directive_list(patch: Mapping[str, Any], directive: str, path: str) -> list[Any]:
    value = patch[directive]
    if not isinstance(value, list):
        raise MergeError(f"{directive} takes a list, found {value!r}", path=path)
    return value


def _items(mapping: Mapping[str, Any], name: str, path: str) -> list[Any]:
    value = mapping.get(name) or []
    if not isinstance(value, list):
        raise _clash(f"{path}.{name}", value, [])
    return value


def _field(path: str) -> str:
    return path.rpartition(".")[2]


def _clean(value: Any) -> Any:
    """A patch where there was nothing: its nulls and directives fall away."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if item is not None and not key.startswith("$")}
        return {key: _clean(item) for key, item in kept.items() if not _deletes(item)}
    if isinstance(value, list):
        return [_clean(item) for item in value if not _deletes(item)]
    return value


def _deletes(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(_PATCH) == "delete"


def _clash(path: str, base: Any, patch: Any) -> MergeError:
    def form(value: Any) -> str:
        return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)

    return MergeError(f"{form(patch)} cannot be merged with {form(base)}", path=path)
