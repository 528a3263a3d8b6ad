"""What a command can end with: one error class per exit code (design, "Exit codes"). Raised anywhere, printed in main.

stderr gets `error: <message>` and, when there is one, `Hint: <hint>`; with `-o json` one JSON line instead.
"""

from __future__ import annotations

from kaos_core.errors import KaosError


class CommandError(KaosError):
    """The operation failed."""

    exit_code = 1
    reason = "failed"


class UsageError(CommandError):
    """What the user typed or gave cannot be used; nothing was sent."""

    exit_code = 2
    reason = "usage"


class AuthError(CommandError):
    """Credentials are missing, expired or refused."""

    exit_code = 3
    reason = "auth"


class UnreachableError(CommandError):
    """The target or the server does not answer."""

    exit_code = 4
    reason = "unreachable"


class ToolFailedError(CommandError):
    """The tool answered with an error, or the server has no such tool."""

    exit_code = 5
    reason = "tool"


class TimedOutError(CommandError):
    """What was waited for did not happen in time."""

    exit_code = 6
    reason = "timeout"


class InvalidError(CommandError):
    """A validating command found errors."""

    exit_code = 7
    reason = "invalid"


class NotFoundError(CommandError):
    """The resource does not exist."""

    reason = "notfound"


class NotReadyError(CommandError):
    """The resource exists but does not serve; the message has its reason."""

    reason = "notready"
