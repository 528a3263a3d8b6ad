"""The operator's settings: what is wrong with one is told by its name, and nothing starts."""

import subprocess
import sys

import pytest

from kaos_core.errors import KaosError
from kaos_operator.environment import Environment


def test_an_empty_environment_gives_the_defaults():
    environment = Environment.read({})
    assert (environment.workers, environment.watch_namespaces, environment.namespace) == (16, (), "kaos-system")


def test_lists_and_switches_are_read():
    environment = Environment.read({"KAOS_WATCH_NAMESPACES": "a, b,", "KAOS_LEADER_ELECTION": "false"})
    assert environment.watch_namespaces == ("a", "b")
    assert environment.leader_election is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAOS_WORKERS", "many"),
        ("KAOS_PROBE_TIMEOUT", "-1"),
        ("KAOS_LEADER_ELECTION", "perhaps"),
        ("KAOS_LOG_FORMAT", "xml"),
        ("KAOS_LOG_LEVEL", "loud"),
        ("KAOS_POD_SECURITY", "none"),
        ("KAOS_GATEWAY", "only-a-name"),
    ],
)
def test_a_value_that_cannot_be_is_named(name, value):
    with pytest.raises(KaosError, match=name):
        Environment.read({name: value})


def test_without_a_cluster_it_says_so_in_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "kaos_operator", "check"],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "no cluster: neither a ServiceAccount's token nor a kubeconfig was found" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
