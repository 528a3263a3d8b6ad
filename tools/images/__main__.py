"""`python -m images [ARGUMENT…]`: builds every image; the arguments go to the builder. `nox -s images` runs this."""

from __future__ import annotations

import os
import sys

from images import builder, make

MB = 1_000_000


def main() -> int:
    """0, or 1 with one line that says why."""
    try:
        found = builder.find(os.environ, sys.argv[1:])
        for ref in make.make(found, print):
            print(f"{ref}  {found.size(ref) / MB:.0f} MB")
    except (builder.BuilderError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
