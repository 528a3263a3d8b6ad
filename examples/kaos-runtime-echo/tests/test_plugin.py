"""The plugin keeps the contract, and params become its prefix."""

import kaos_runtime_echo
from kaos_core.testing import check_plugin


def test_the_plugin_keeps_the_contract():
    (plan,) = check_plugin(kaos_runtime_echo, specs={"echo": {"params": ">>> "}})
    assert {"name": "ECHO_PREFIX", "value": ">>> "} in plan.process.env
