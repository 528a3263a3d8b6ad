"""Generated: every file of `charts/kaos` that is made from the code, by its path. `tools/generate.py` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chart import dashboard, pages, schema, templates

FOLDER = Path("charts/kaos")


def files(plurals: Iterable[str], source: str, dump: templates.Dump) -> dict[Path, str]:
    """Texts by their path from the root of the checkout; the arguments are those of `templates`."""
    return {
        FOLDER / "values.yaml": pages.values_yaml(source),
        FOLDER / "values.schema.json": schema.text(),
        FOLDER / "README.md": pages.readme(source),
        FOLDER / "dashboards" / "kaos.json": dashboard.text(),
        **templates.templates(plurals, source, dump),
    }
