"""`python -m e2e.prepare`: builds the images, a third party's on top of ours too, and loads all into the cluster."""

from __future__ import annotations

import os
import sys

from e2e.loading import LoadError, load
from images import builder, make, wheels
from kaos_core.settings import IMAGE_REGISTRY, KAOS_VERSION

THIRD_PARTY = wheels.ROOT / "tests" / "e2e" / "third-party"


def third_party(folder: str) -> str:
    """The reference of a third party's image that stands on ours of `folder`."""
    return f"{IMAGE_REGISTRY}/e2e-{folder}-with-shout:{KAOS_VERSION}"


def prepare() -> list[str]:
    """Build and load; all references. Raises BuilderError, LoadError or RuntimeError."""
    found = builder.find(os.environ)
    refs = make.make(found, print)
    with make.context([THIRD_PARTY]) as context:
        for folder, base in make.refs().items():
            ref = third_party(folder)
            print(f"images: building {ref} with {found.program.name}")
            found.build(THIRD_PARTY / "Containerfile", context, ref, ["--no-cache", "--build-arg", f"BASE={base}"])
            refs.append(ref)
    load(refs, os.environ)
    return refs


def main() -> int:
    """0, or 1 with one line that says why."""
    try:
        prepare()
    except (builder.BuilderError, LoadError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
