"""`kaos mcp deploy`: the proposal's flags and texts (S4.82 to S4.84), and nothing done by a dry run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from kaos_core.documents import load_all, load_one

if TYPE_CHECKING:
    from conftest import Kaos

DRY = ("mcp", "deploy", "my-tools", "--dry-run")


def test_a_dry_run_prints_the_resource_alone(kaos: Kaos) -> None:
    """S4.84."""
    done = kaos(
        *("mcp", "deploy", "--name", "my-tools", "--namespace", "agents", "--image", "registry.example/my-tools:v1"),
        *("--runtime", "rawpython"),
        *(
            "--params",
            "def f():\n    return 1\n",
            "--env",
            "A=1",
            "--service-account",
            "sa",
            "--replicas",
            "0",
            "--dry-run",
        ),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "apiVersion: kaos.tools/v1alpha1\n"
        "kind: MCPServer\n"
        "metadata:\n"
        "  name: my-tools\n"
        "  namespace: agents\n"
        "spec:\n"
        "  runtime: rawpython\n"
        "  params: |\n"
        "    def f():\n"
        "        return 1\n"
        "  serviceAccountName: sa\n"
        "  replicas: 0\n"
        "  container:\n"
        "    image: registry.example/my-tools:v1\n"
        "    env:\n"
        "    - name: A\n"
        '      value: "1"\n'
    )
    assert kaos.is_untouched()


def test_the_runtime_custom_needs_an_image(kaos: Kaos) -> None:
    """S4.35."""
    done = kaos(*DRY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: custom runtime requires container.image"


def test_an_unknown_runtime_names_the_known_ones(kaos: Kaos) -> None:
    """S4.38."""
    done = kaos(*DRY, "--runtime", "rawpythn")
    assert done.returncode == 2
    assert (
        "unknown runtime: rawpythn (available: [custom, discord, fetch, kubernetes, rawpython, slack])" in done.stderr
    )


def test_a_required_env_is_missed_before_anything_is_sent(kaos: Kaos) -> None:
    """S4.32."""
    done = kaos(*DRY, "--runtime", "slack")
    assert done.returncode == 2
    assert "SLACK_BOT_TOKEN" in done.stderr


def test_a_warning_stays_off_stdout(kaos: Kaos) -> None:
    done = kaos(*DRY, "--runtime", "kubernetes")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: ")
    assert load_one(done.stdout)["spec"] == {"runtime": "kubernetes"}


@pytest.mark.parametrize("params", ["@tools.py", "-"])
def test_params_come_from_a_file_or_stdin(kaos: Kaos, params: str) -> None:
    code = 'def hello(name: str) -> str:\n    """Say hello."""\n    return f"Hello, {name}!"\n'
    kaos.file("tools.py", code)
    done = kaos(*DRY, "--runtime", "rawpython", "--params", params, stdin=code)
    assert load_one(done.stdout)["spec"]["params"] == code


def test_create_yaml_writes_what_a_dry_run_prints_and_it_deploys_again(kaos: Kaos) -> None:
    """S4.84."""
    done = kaos(*DRY, "--image", "x:1", "--create-yaml", "out.yaml")
    assert (kaos.folder / "out.yaml").read_text() == done.stdout
    assert kaos("mcp", "deploy", "-f", "out.yaml", "--dry-run").stdout == done.stdout
    done = kaos(*DRY, "--image", "x:1", "--create-yaml", "no/such/folder/out.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no/such/folder/out.yaml: cannot be written: No such file or directory\n"


def test_a_file_of_several_documents_is_printed_as_several(kaos: Kaos) -> None:
    kaos.file("two.yaml", kaos.calculator + "---\n" + kaos.calculator.replace("calculator", "other"))
    done = kaos("mcp", "deploy", "-f", "two.yaml", "-n", "agents", "--dry-run")
    metadata = [document.value["metadata"] for document in load_all(done.stdout)]
    assert metadata == [{"name": name, "namespace": "agents"} for name in ("calculator", "other")]


@pytest.mark.parametrize(
    "flags",
    [
        ("mcp", "deploy", "--image", "x:1", "--dry-run"),
        ("mcp", "deploy", "a", "--name", "b", "--image", "x:1", "--dry-run"),
        ("mcp", "deploy", "a", "-f", "calc.yaml", "--dry-run"),
        ("mcp", "deploy", "-f", "calc.yaml", "--runtime", "fetch", "--dry-run"),
    ],
)
def test_flags_that_contradict_each_other_are_exit_2(kaos: Kaos, flags: tuple[str, ...]) -> None:
    kaos.file("calc.yaml", kaos.calculator)
    done = kaos(*flags)
    assert (done.returncode, done.stdout) == (2, "")


def test_without_a_cluster_nothing_is_deployed_and_exit_is_4(kaos: Kaos) -> None:
    done = kaos("mcp", "deploy", "a", "--image", "x:1")
    assert done.returncode == 4
    assert "kaos mcp deploy works with --local" in done.stderr


def test_a_deployment_prints_the_texts_of_the_proposal(kaos: Kaos) -> None:
    """S4.83, then each of the kubectl-like commands on the same server."""
    kaos.file("calc.yaml", kaos.calculator)
    done = kaos("mcp", "deploy", "-f", "calc.yaml", "-n", "agents", "--local", "--wait")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    first, second, third = done.stderr.splitlines()
    assert first == "Deploying MCPServer agents/calculator..."
    assert second == "✓ MCPServer created"
    assert third.startswith("mcpserver.kaos.tools/calculator ready in ")
    assert third.endswith("/mcp (2 tools)")

    env = {"KAOS_TARGET": "local"}
    assert "✓ MCPServer unchanged" in kaos("mcp", "deploy", "-f", "calc.yaml", "-n", "agents", env=env).stderr
    header, row = kaos("mcp", "list", "-n", "agents", env=env).stdout.splitlines()
    assert header.split() == ["NAME", "RUNTIME", "PHASE", "READY", "REASON", "URL", "AGE"]
    assert row.split()[:5] == ["calculator", "rawpython", "Ready", "True", "Ready"]
    assert kaos("mcp", "list", "-A", env=env).stdout.startswith("NAMESPACE   NAME ")
    assert kaos("mcp", "list", "-n", "agents", "-o", "name", env=env).stdout == "mcpserver.kaos.tools/calculator\n"
    empty = kaos("mcp", "list", env=env)
    assert (empty.stdout, empty.stderr) == ("", "No resources found in default namespace.\n")
    assert kaos("mcp", "list", "-o", "json", env=env).stdout == "[]\n"

    got = load_one(kaos("mcp", "get", "calculator", "-n", "agents", env=env).stdout)
    assert got["status"]["availableTools"] == ["add", "divide"]
    kaos.file("again.yaml", kaos("mcp", "get", "calculator", "-n", "agents", "-o", "json", env=env).stdout)

    kaos("mcp", "invoke", "calculator", "divide", "a=1", "b=0", "-n", "agents", env=env)
    log = kaos("mcp", "logs", "calculator", "-n", "agents", "--tail", "1", env=env)
    assert log.returncode == 0
    assert "ZeroDivisionError" in log.stdout
    done = kaos("mcp", "delete", "calculator", "-n", "agents", env=env)
    assert done.stdout == 'mcpserver.kaos.tools "calculator" deleted\n'
    done = kaos("mcp", "delete", "calculator", "-n", "agents", env=env)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("nested", [False, True], ids=["bare code", "under code:"])
def test_code_that_does_not_compile_is_told_with_its_own_line_of_the_file(kaos: Kaos, nested: bool) -> None:
    code = "def f():\n    return 1\ndef g(:\n    pass\n"
    params = "# Tools\ncode: |\n" + textwrap.indent(code, "  ") if nested else code
    head = "apiVersion: kaos.tools/v1alpha1\nkind: MCPServer\nmetadata: {name: bad}\nspec:\n  runtime: rawpython\n"
    text = f"{head}  params: |\n{textwrap.indent(params, '    ')}"
    kaos.file("bad.yaml", text)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "def g(:" in line)
    done = kaos("mcp", "deploy", "-f", "bad.yaml", "--dry-run")
    assert f"warning: bad.yaml:{line}: spec.params: line 3: " in done.stderr
