"""The hook `kaos_manifests`: plugins edit program and objects in place, each on a copy of its own."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from kaos_core.copies import copy_of
from kaos_core.manifests import Manifests, Object
from kaos_core.manifests.edited import check_edited
from kaos_core.origins import object_leaves, program_leaves
from kaos_core.resolve import Context, Resolved, hook_failed

if TYPE_CHECKING:
    from kaos_core.kinds import Kind
    from kaos_core.resources.base import Resource


def hooked(manifests: Manifests, kind: Kind, resource: Resource, context: Context, resolved: Resolved) -> Manifests:
    """Every plugin's `kaos_manifests` in turn. What a failing one began is undone."""
    entry = resolved.entry
    if entry is None:
        return manifests
    document = resource.document()
    for implementation in context.plugins.implementations("kaos_manifests"):
        edited = deepcopy(manifests)
        try:
            implementation.call(server=copy_of(document), runtime=entry.runtime, manifests=edited)
            if edited == manifests:
                continue
            check_edited(edited, kind.container)
            run, objects = program_leaves(edited.program), object_leaves(_objects(edited))
        except Exception as error:  # noqa: BLE001 a hook may raise anything, and leave anything behind
            resolved.problems.append(hook_failed("kaos_manifests", implementation.plugin, entry, error))
            continue
        layer = f"hook {implementation.plugin}"
        resolved.origins.note_changes(program_leaves(manifests.program), run, layer)
        resolved.origins.note_changes(object_leaves(_objects(manifests)), objects, layer)
        manifests = edited
    return manifests


def _objects(manifests: Manifests) -> list[Object]:
    return [manifests.deployment, manifests.service, *manifests.extra]
