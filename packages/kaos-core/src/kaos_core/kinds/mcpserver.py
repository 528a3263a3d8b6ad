"""The kind MCPServer."""

from __future__ import annotations

from kaos_core.kinds import READY_COLUMNS, Column, Kind
from kaos_core.resolve import resolve_mcpserver

KIND = Kind(
    name="MCPServer",
    plural="mcpservers",
    short_names=("mcp", "mcps"),
    model="kaos_core.resources.mcpserver:MCPServer",
    status_model="kaos_core.resources.status:MCPServerStatus",
    role="mcpserver",
    container="mcp-server",
    route="mcp",
    resolve=resolve_mcpserver,
    columns=(
        Column("Runtime", ".spec.runtime"),
        *READY_COLUMNS,
        Column("Replicas", ".status.replicas", "integer", 1),
        Column("Protocol", ".status.validation.transportUsed", priority=1),
        Column("Auth", ".status.validation.requiresAuth", "boolean", 1),
        Column("Compliant", ".status.validation.compliant", "boolean", 1),
        Column("Capabilities", ".status.validation.capabilities", priority=1),
        Column("Tools", ".status.availableTools", priority=1),
    ),
)
