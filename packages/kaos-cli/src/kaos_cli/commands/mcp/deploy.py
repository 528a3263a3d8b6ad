"""`kaos mcp deploy`: from flags or a file to an applied MCPServer (S4.82 to S4.84)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kaos_cli.checks import Checker, remark
from kaos_cli.errors import CommandError, UsageError
from kaos_cli.inputs import Given, Welcome, read, read_text
from kaos_cli.names import env_entry, resource_name
from kaos_cli.options import TWO_MINUTES, Files, Local, Namespace, Timeout
from kaos_cli.output import emit, talk, yaml_text
from kaos_cli.readiness import await_ready
from kaos_cli.target import Source
from kaos_cli.targets import choose, is_local, machine, namespace_of
from kaos_core.documents import Document

KIND = "MCPServer"


def deploy(
    context: typer.Context,
    positional: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the server.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the server.")] = None,
    namespace: Namespace = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime", metavar="RUNTIME", help="What kind of server: see kaos system runtimes.  [default: custom]"
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="Container image; the runtime custom needs one.")
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", metavar="TEXT|@FILE|-", help="The runtime's parameters.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="Environment variable; repeatable.")
    ] = None,
    service_account: Annotated[
        str | None, typer.Option("--service-account", metavar="NAME", help="ServiceAccount of the pod.")
    ] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", min=0, metavar="N", help="Number of replicas.")] = None,
    file: Files = None,
    create_yaml: Annotated[
        str | None, typer.Option("--create-yaml", metavar="FILE", help="Also write the YAML to this file.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is ready.")] = False,
    timeout: Timeout = TWO_MINUTES,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the YAML and apply nothing.")] = False,
    local: Local = False,
) -> None:
    """Deploy an MCP server from flags or from YAML."""
    flags: dict[str, object] = {
        "NAME": positional,
        "--name": name,
        "--runtime": runtime,
        "--image": image,
        "--params": params,
    }
    flags |= {"--env": env, "--service-account": service_account, "--replicas": replicas}
    used = [flag for flag, value in flags.items() if value is not None and value != []]
    home = namespace_of(machine() if is_local(local) else None, namespace)
    checker = Checker.installed()
    if file and used:
        raise UsageError(f"-f and {used[0]} do not go together", hint="change the file, or leave -f out")
    if file:
        given = read(file, Welcome((KIND,), home, override=namespace is not None))
    else:
        document = _document(
            _one_name(positional, name), home, runtime or "custom", image, params, env or [], service_account, replicas
        )
        given = [Given(Source(document, Path.cwd(), "flags"), Document(document), "")]
    checker.check(given)
    text = "---\n".join(yaml_text(item.source.document) for item in given)
    if create_yaml:
        _write(create_yaml, text)
    if dry_run:
        emit(text)
        return
    target = choose(context, local)
    remark(target, given)
    ours = [item.ref for item in given if item.is_ours]
    for ref in ours:
        talk(f"Deploying {ref.kind} {ref.namespace}/{ref.name}...")
    for ref, change in target.apply([item.source for item in given]):
        talk(f"✓ {ref.kind} {change}")
    if wait:
        await_ready(target, ours, timeout)


def _one_name(positional: str | None, option: str | None) -> str:
    if positional is not None and option is not None and positional != option:
        raise UsageError(f"two names: {positional!r} and --name {option!r}")
    name = positional if positional is not None else option
    if name is None:
        raise UsageError("no name", hint="kaos mcp deploy --name NAME …, or -f FILE")
    return resource_name(name)


def _document(
    name: str,
    namespace: str,
    runtime: str,
    image: str | None,
    params: str | None,
    env: list[str],
    service_account: str | None,
    replicas: int | None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {"runtime": runtime}
    if params is not None:
        spec["params"] = read_text(params)
    if service_account is not None:
        spec["serviceAccountName"] = resource_name(service_account, "name of a ServiceAccount")
    if replicas is not None:
        spec["replicas"] = replicas
    container: dict[str, Any] = {}
    if image is not None:
        container["image"] = image
    entries = [env_entry(text) for text in env]
    names = [entry["name"] for entry in entries]
    twice = next((item for item in names if names.count(item) > 1), None)
    if twice is not None:
        raise UsageError(f"--env {twice} is given twice")
    if entries:
        container["env"] = entries
    if container:
        spec["container"] = container
    return {
        "apiVersion": "kaos.tools/v1alpha1",
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _write(name: str, text: str) -> None:
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{name}: cannot be written: {error.strerror}") from error
