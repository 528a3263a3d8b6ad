"""`python -m kaos_operator [run|check]`: the process in the operator's pod, or on a laptop against a kubeconfig."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine

from kaos_core.errors import KaosError


def main() -> int:
    """0 after a signal; 1 when it cannot run, with one line that says why."""
    from kaos_operator.environment import Environment
    from kaos_operator.logs import set_up

    command = sys.argv[1] if len(sys.argv) > 1 else "run"
    if command not in ("run", "check") or len(sys.argv) > 2:
        sys.stderr.write("usage: python -m kaos_operator [run|check]\n")
        return 2
    try:
        environment = Environment.read(os.environ)
        set_up(environment.log_level, environment.log_format)
        if command == "check":
            from kaos_operator.check import check

            return asyncio.run(check(environment))
        from kaos_core.plugins import Plugins
        from kaos_operator.operator import Operator

        operator = Operator(environment, Plugins.installed())
        _collect_less()
        return _run(operator.run())
    except (KaosError, OSError) as error:
        hint = getattr(error, "hint", "")
        sys.stderr.write(f"error: {error}{f'; {hint}' if hint else ''}\n")
        return 1


def _run(work: Coroutine[None, None, None]) -> int:
    """As `asyncio.run`, but whatever of kopf's tasks has not ended by then does not hold up the process."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.set_exception_handler(lambda *_: None)
        loop.close()
    return 0


def _collect_less() -> None:
    """Look for cycles less often, and never among what the imports made: it took a quarter of the CPU under load."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


if __name__ == "__main__":
    sys.exit(main())
