"""The console script `kaos`: start-up. Nothing is imported until a command is chosen, so the bare help costs little.

`listing` prints the help of the whole command from its index; everything else goes to `app`.
"""

import os
import sys


def main() -> int:
    """Run `sys.argv` and return the exit code (design, "Exit codes")."""
    arguments = sys.argv[1:]
    wants_help = arguments in ([], ["-h"], ["--help"])
    # A completing shell and strict mode need the real group: the one asks it, the other wants every plugin loaded.
    if wants_help and not os.environ.get("_KAOS_COMPLETE") and os.environ.get("KAOS_STRICT_PLUGINS") != "1":
        from kaos_cli.listing import print_help

        return print_help()
    from kaos_cli.app import run

    return run(arguments)
