"""An MCPServer becomes what its plan says, stays that, and is told truthfully; with real programs."""


def test_a_server_becomes_ready_with_its_tools(served):
    served.create(served.server("calc"))

    status = served.until_ready("calc")["status"]

    assert status["phase"] == "Ready"
    assert status["availableTools"] == ["add"]
    assert status["validation"] == {
        "state": "Compliant",
        "compliant": True,
        "protocolVersion": status["validation"]["protocolVersion"],
        "transportUsed": "streamable-http",
        "requiresAuth": False,
        "capabilities": ["tools", "resources", "prompts"],
    }
