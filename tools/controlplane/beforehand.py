"""What may take minutes to build: got before the first test that needs it, whose time limit is not meant for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from controlplane.binaries import Say


def beforehand(session: pytest.Session, fixture: str, get: Callable[[Say], object]) -> None:
    """Call `get` if a collected test asks for the fixture. For `pytest_collection_finish`: there nothing is captured.

    `get` is given where to say lines of progress. It keeps what it found, or why it found nothing: each test that
    needs it fails with that.
    """
    if session.config.option.collectonly:
        return
    if any(fixture in getattr(item, "fixturenames", ()) for item in session.items):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        get(reporter.write_line if reporter else lambda _: None)
