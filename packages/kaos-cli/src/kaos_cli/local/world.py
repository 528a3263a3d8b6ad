"""What the keepers of one supervisor share: made once by `supervision`, passed to each `Keeper` and its `Runs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from kaos_cli.local.forks import ForkParents
from kaos_cli.local.ports import Ports
from kaos_cli.local.settings import Settings
from kaos_cli.local.store import Store
from kaos_cli.local.watcher import Watcher

if TYPE_CHECKING:
    from kaos_core.plugins import Plugins
    from kaos_core.registry import Registry


@dataclass(frozen=True)
class World:
    """The store and its lock, the settings, what is installed, the ports, the fork parents, the one watcher.

    `machine` is what `launch.for_engines` gave, `session` is another word for each supervisor.
    """

    store: Store
    settings: Settings
    plugins: Plugins
    registry: Registry
    ports: Ports
    forks: ForkParents
    machine: dict[str, str]
    watcher: Watcher
    changes: FileLock
    session: str
