"""What a server takes when it is told nothing, and from where when it is told something."""

import pytest

from kaos_runtime_rawpython.config import Config
from kaos_runtime_rawpython.exits import StartError


def test_the_defaults_are_the_catalogues():
    """B69, B78: 30 s for a call, 10 s for the top level, 1 GiB; B68: a result's 8 MiB."""
    config = Config.read([], {})
    assert (config.tool_timeout, config.load_timeout, config.tool_memory) == (30, 10, 1 << 30)
    assert (config.max_result, config.tool_processes) == (8 << 20, 64)
    assert (config.host, config.port) == ("0.0.0.0", 8000)
    assert config.allowed_hosts == {"localhost", "127.0.0.1", "::1"}


def test_an_empty_variable_is_one_that_is_not_set():
    """B69, B78: a limit is not lifted by a blank."""
    names = ("MCP_TOOL_TIMEOUT", "MCP_LOAD_TIMEOUT", "MCP_TOOL_MEMORY", "MCP_TOOL_PROCESSES", "MCP_MAX_RESULT_BYTES")
    assert Config.read([], dict.fromkeys(names, " ")) == Config.read([], {})


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e999", "soon"])
def test_a_limit_that_is_no_number_is_refused(text):
    """B69: none of them may come to mean no limit."""
    with pytest.raises(StartError, match="MCP_TOOL_TIMEOUT is "):
        Config.read([], {"MCP_TOOL_TIMEOUT": text})
