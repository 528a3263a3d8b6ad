"""Processes by identity: whoever ends one can be told to leave off."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from kaos_cli.local.identity import Identity


@pytest.fixture
def ended():
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    process.kill()
    process.wait()
    return identity


@pytest.mark.parametrize("steps", range(6))
def test_a_cancellation_is_not_lost_whenever_it_comes(ended, steps):
    # `asyncio.wait_for` of Python 3.11 loses one that comes just after what it waits for.
    async def cancelled_after(steps: int) -> bool:
        task = asyncio.create_task(ended.stop(1.0))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked = task.cancel()
        await asyncio.wait([task])
        return not asked or task.cancelled()

    assert asyncio.run(cancelled_after(steps))
