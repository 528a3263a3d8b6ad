"""Environment -> `Settings`: times and limits of the local target. The supervisor reads them; tests shorten them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "KAOS_LOCAL_"


@dataclass(frozen=True)
class Settings:
    """All times in seconds. A field is set by the variable of its name: `KAOS_LOCAL_STOP_GRACE=1`.

    Attributes:
        backoff_first: wait before the first restart; doubled for each that follows.
        backoff_limit: the longest wait.
        backoff_reset: a run this long starts the count anew.
        stop_grace: between SIGTERM and SIGKILL (experience L4).
        poll: how often the store is looked at when no command says that it changed.
        probe_first: between the first looks at a new server.
        probe_interval: between handshakes with a server that answers.
        probe_timeout: for one handshake.
        probe_patience: how long a server that accepts connections may fail its handshake before that is its status.
        live_interval: between liveness probes, as in a pod; 3 failures in a row restart the program.
        live_timeout: for one liveness probe.
        log_bytes: size at which a log is rotated.
        first_port: the first of the ports that servers get; likewise `last_port`.
        gateway_port: of the gateway (`KAOS_GATEWAY_PORT`); 0 switches it off.
    """

    backoff_first: float = 1.0
    backoff_limit: float = 30.0
    backoff_reset: float = 60.0
    stop_grace: float = 5.0
    poll: float = 1.0
    probe_first: float = 0.05
    probe_interval: float = 30.0
    probe_timeout: float = 5.0
    probe_patience: float = 3.0
    live_interval: float = 10.0
    live_timeout: float = 5.0
    log_bytes: float = 10 * (1 << 20)
    first_port: float = 18000
    last_port: float = 18999
    gateway_port: float = 17999

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """The defaults with the environment over them. Raises ValueError naming a variable that is no number."""
        values: dict[str, float] = {}
        for field in fields(cls):
            name = "KAOS_GATEWAY_PORT" if field.name == "gateway_port" else PREFIX + field.name.upper()
            text = env.get(name, "").strip()
            if not text:
                continue
            try:
                values[field.name] = float(text)
            except ValueError:
                raise ValueError(f"{name} is {text[:40]!r}; it takes a number") from None
        return cls(**values)
