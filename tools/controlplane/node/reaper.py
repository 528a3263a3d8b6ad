"""`python -m controlplane.node.reaper FOLDER`: when our stdin closes, ends what logs below FOLDER, and removes it.

The processes of a node are in sessions of their own and would survive tests that were killed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main(folder: Path) -> int:
    """Wait for the end of stdin."""
    while os.read(0, 4096):
        pass
    from kaos_cli.local.identity import end_writing_below

    end_writing_below(folder, 0.2)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
