"""LocalTarget: what commands may ask of this machine. Reads and writes the store; the supervisor does the rest.

Light: `list`, `get` and `logs` load neither pydantic nor an MCP client.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from kaos_cli.errors import CommandError, NotFoundError, NotReadyError, UsageError
from kaos_cli.local import log as logs
from kaos_cli.local.bootstrap import Bootstrap, announcement, is_alive
from kaos_cli.local.preloads import preloads
from kaos_cli.local.store import Store
from kaos_cli.target import Ref, Resource, Source

if TYPE_CHECKING:
    from kaos_core.program import Process

Outcome = Literal["created", "configured", "unchanged"]
NAMESPACE = "default"
_POLL = 0.03
_GONE_SECONDS = 60.0
_VALUES = ("Secret", "ConfigMap")


class LocalTarget:
    """The resources of one store; the user's own when none is named."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store.default()
        self._bootstrap = Bootstrap(self.store)

    def default_namespace(self) -> str:
        """`default`: no kubeconfig is asked."""
        return NAMESPACE

    def begin(self, sources: Sequence[Source]) -> None:
        """Start what an `apply` of these documents will need. Without one, nothing comes of it.

        Worth a call as early as the documents are known: what is started takes a second to load.
        """
        from kaos_core.plugins import Plugins

        self.store.create()
        self._bootstrap.begin(preloads(Plugins.installed(), sources))

    def apply(self, sources: Sequence[Source]) -> builtins.list[tuple[Ref, Outcome]]:
        """Check everything, resolve references, then write.

        Raises:
            UsageError: a document is no valid resource; nothing was written.
            CommandError: a reference cannot be resolved (nothing was written), or the store cannot be.
        """
        if not sources:
            return []
        # It loads while this process checks the documents.
        self.begin(sources)
        from filelock import FileLock

        from kaos_cli.local.fingerprint import fingerprint

        try:
            prepared = self._prepared(sources)
            self._bootstrap.renew(fingerprint())
            with FileLock(self.store.root / "changes.lock"):
                outcomes = [
                    (ref, self._write(ref, document, source, secrets)) for ref, document, source, secrets in prepared
                ]
            self._bootstrap.look()
        finally:
            self._bootstrap.release()
        return outcomes

    def remarks(self, document: Resource) -> builtins.list[str]:
        """What only a cluster makes of a resource (design, "One neutral `Program`")."""
        spec = document.get("spec") or {}
        name = f"{str(document.get('kind')).lower()}/{document['metadata']['name']}"
        said = []
        if spec.get("podSpec"):
            said.append(f"{name}: spec.podSpec counts in a cluster only")
        if (spec.get("replicas") or 0) > 1:
            said.append(f"{name}: runs once on this machine, whatever spec.replicas says")
        return said

    def list(self, kind: str | None, namespace: str | None) -> builtins.list[Resource]:
        """Every resource of a kind with its status."""
        self._have_supervisor()
        refs = (ref for ref in self.store.refs() if kind in (None, ref.kind) and namespace in (None, ref.namespace))
        return [resource for ref in refs if (resource := self._read(ref)) is not None]

    def get(self, ref: Ref) -> Resource:
        """One resource with its status; without it, a cluster would take it as it is."""
        self._have_supervisor()
        resource = self._read(ref)
        if resource is None:
            raise self._not_found(ref)
        return resource

    def delete(self, ref: Ref) -> None:
        """Delete it and wait until its program and its folder are gone."""
        self._unlink(ref)
        self._bootstrap.look()
        self._await_gone([ref])

    def down_everything(self) -> builtins.list[Ref]:
        """Delete everything and wait until neither a program nor the supervisor is left; what was deleted."""
        refs = self.store.refs()
        deleted = [ref for ref in refs if self._unlink(ref, missing_ok=True)]
        if refs or is_alive(self.store):
            self._bootstrap.look()
        self._await_gone(refs)
        self._wait_until(lambda: not is_alive(self.store), lambda: "the supervisor does not end")
        self._bootstrap.reap()
        if self.store.root.exists():
            from kaos_cli.local.identity import end_writing_below, writing_below
            from kaos_cli.local.settings import Settings

            # What another command has started meanwhile is not ours to end.
            if not is_alive(self.store):
                end_writing_below(self.store.root, Settings.read(os.environ).stop_grace)
            # A supervisor that was only starting finds nothing to do and ends; one that finds something is another's.
            self._wait_until(
                lambda: bool(self.store.refs()) or not writing_below(self.store.root),
                lambda: "some program of this store does not end",
            )
        return deleted

    def logs(self, ref: Ref, *, follow: bool, tail: int | None, previous: bool) -> Iterator[str]:
        """Lines of the log; `previous` those of the run before the last start."""
        self._have_supervisor()
        if self._read(ref) is None:
            raise self._not_found(ref)
        path = self.store.folder(ref) / "log"
        if previous:
            local = self.store.read_json(ref, "local.json")
            start, end = int(local.get("previousStart") or 0), int(local.get("logStart") or 0)
            return iter(logs.lines(path, tail=tail, start=start, end=end))
        if not follow:
            return iter(logs.lines(path, tail=tail, older=True))
        return logs.follow(path, tail=tail, gone=self._gone(ref))

    def follow_run(self, ref: Ref) -> Iterator[str]:
        """Lines of the log from the start of the present run on, as they come, until the resource is gone."""
        start = int(self.store.read_json(ref, "local.json").get("logStart") or 0)
        return logs.follow(self.store.folder(ref) / "log", tail=0, start=start, gone=self._gone(ref))

    def _gone(self, ref: Ref) -> Callable[[], bool]:
        path = self.store.folder(ref) / "resource.yaml"
        return lambda: not path.exists()

    def wait(self, refs: Sequence[Ref], timeout: float) -> Iterator[Resource]:
        """Yield each resource once: when what was applied last is Ready or Failed, else when the seconds are over."""
        deadline = time.monotonic() + timeout
        waiting = builtins.list(dict.fromkeys(refs))
        while waiting:
            late = time.monotonic() >= deadline
            for ref in list(waiting):
                # First: the status that is read after it is at least as new.
                told = self._told(ref)
                resource = self._read(ref)
                if resource is None:
                    raise self._not_found(ref)
                if late or (told and _settled(resource)):
                    waiting.remove(ref)
                    yield resource
            if waiting:
                self._bootstrap.check()
                self._bootstrap.begin()
                self._bootstrap.release()
                time.sleep(_POLL)

    def _told(self, ref: Ref) -> bool:
        """Whether the status is of what was applied last, and by the supervisor that looks after it now."""
        local = self.store.read_json(ref, "local.json")
        # What a killed one has announced still stands there.
        session = announcement(self.store).get("session") if is_alive(self.store) else None
        token = self.store.read_json(ref, "source.json").get("token", "")
        return bool(session) and (local.get("session"), local.get("token")) == (session, token)

    def mcp_url(self, ref: Ref) -> str:
        """The server's own URL with its path. Raises NotReadyError with the reason when it does not serve."""
        resource = self.get(ref)
        status = resource.get("status") or {}
        if status.get("phase") != "Ready":
            raise NotReadyError(f"{ref} is not ready: {status.get('message') or 'it is starting'}")
        running = self.store.read_json(ref, "local.json").get("run") or {}
        return f"{status['endpoint']}{running.get('path') or ''}"

    def headers(self, ref: Ref) -> Mapping[str, str]:  # noqa: ARG002  # the protocol's signature
        """Nothing: servers on this machine are bound to loopback and take no token of ours."""
        return {}

    def gateway_url(self, ref: Ref) -> str:
        """Its URL at the gateway, without the path of its MCP endpoint; empty when no gateway serves."""
        told = announcement(self.store)
        port = told.get("gatewayPort")
        if not port or told.get("gatewayProblem"):
            return ""
        route = self.store.read_json(ref, "local.json").get("route") or ref.kind.lower()
        return f"http://127.0.0.1:{port}/{ref.namespace}/{route}/{ref.name}"

    def gateway_problem(self) -> str:
        """Why the gateway does not serve; empty when it does or there is no supervisor."""
        return str(announcement(self.store).get("gatewayProblem") or "")

    # What `apply` does.

    def _prepared(self, sources: Sequence[Source]) -> builtins.list[tuple[Ref, Resource, Source, dict[str, Any]]]:
        """Everything that is to be written; nothing has been when this raises."""
        from kaos_cli.local.references import Given, resolve
        from kaos_core.errors import ResourceError
        from kaos_core.plan import plan
        from kaos_core.plugins import Plugins
        from kaos_core.registry import Registry

        plugins = Plugins.installed()
        registry = Registry.build(plugins)
        given = Given.of((source.document for source in sources if source.document.get("kind") in _VALUES), NAMESPACE)
        prepared = []
        problems: builtins.list[str] = []
        for source in sources:
            if source.document.get("kind") in _VALUES:
                continue
            document = _with_namespace(source.document)
            try:
                planned = plan(document, registry, plugins)
            except ResourceError as error:
                problems += [f"{source.origin}: {problem}" for problem in error.problems or (error,)]
                continue
            metadata = document["metadata"]
            ref = Ref(document["kind"], metadata["namespace"], metadata["name"])
            self.store.folder(ref)
            process: Process | None = planned.process
            secrets: dict[str, Any] = {}
            if process is not None:
                values = resolve(ref, process, source, given, os.environ)
                secrets = {"env": dict(values.env), "envFrom": dict(values.env_from)}
            prepared.append((ref, document, source, secrets))
        if problems:
            raise UsageError("\n".join(problems))
        return prepared

    def _write(self, ref: Ref, document: Resource, source: Source, secrets: dict[str, Any]) -> Outcome:
        old = self.store.resource(ref)
        new = {key: value for key, value in document.items() if key != "status"}
        metadata = dict(new["metadata"])
        before = (old or {}).get("metadata") or {}
        changed = old is None or old.get("spec") != new.get("spec")
        metadata["uid"] = before.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = before.get("creationTimestamp") or datetime.now(UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        metadata["generation"] = int(before.get("generation") or 0) + int(changed)
        new["metadata"] = metadata
        same_values = self.store.read_json(ref, "secrets.json") == secrets
        place = {"folder": str(source.folder.absolute()), "python": sys.executable}
        noted = self.store.read_json(ref, "source.json")
        same_place = all(noted.get(name) == value for name, value in place.items())
        if old == new and same_values and same_place:
            return "unchanged"
        self.store.write_json(ref, "secrets.json", secrets)
        self.store.write_json(ref, "source.json", {**place, "origin": source.origin, "token": uuid.uuid4().hex})
        # Last: from here on it counts.
        if old != new:
            self.store.write_resource(ref, new)
        return "created" if old is None else "configured"

    # What is shared.

    def _read(self, ref: Ref) -> Resource | None:
        resource = self.store.resource(ref)
        if resource is None:
            return None
        status = self.store.read_json(ref, "status.json")
        return {**resource, "status": status} if status else resource

    def _have_supervisor(self) -> None:
        """Where there are resources there is a supervisor that knows how they are: what was left is pruned by it."""
        if self.store.refs() and not (is_alive(self.store) and announcement(self.store)):
            self._bootstrap.settled()

    def _not_found(self, ref: Ref) -> NotFoundError:
        names = [
            other.name for other in self.store.refs() if (other.kind, other.namespace) == (ref.kind, ref.namespace)
        ]
        there = f"there are: {', '.join(names)}" if names else "there are none"
        return NotFoundError(
            f"{ref} not found in namespace {ref.namespace}; {there}", hint="kaos ps lists everything on this machine"
        )

    def _unlink(self, ref: Ref, *, missing_ok: bool = False) -> bool:
        from filelock import FileLock

        folder = self.store.folder(ref)
        # No lock without a store: a command that only looks leaves no trace.
        if not (folder / "resource.yaml").exists():
            if missing_ok:
                return False
            raise self._not_found(ref)
        with FileLock(self.store.root / "changes.lock"):
            try:
                (folder / "resource.yaml").unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise CommandError(f"cannot remove {folder / 'resource.yaml'}: {error.strerror}") from None
            (folder / "secrets.json").unlink(missing_ok=True)
        return True

    def _await_gone(self, refs: Sequence[Ref]) -> None:
        folders = {ref: self.store.folder(ref) for ref in refs}

        def left() -> builtins.list[Ref]:
            # One that was created again meanwhile is another one.
            return [
                ref for ref, folder in folders.items() if folder.exists() and not (folder / "resource.yaml").exists()
            ]

        if left():
            self._bootstrap.look()
        self._wait_until(
            lambda: not left(), lambda: f"not gone after {_GONE_SECONDS:g} s: {', '.join(map(str, left()))}"
        )

    def _wait_until(self, done: Callable[[], bool], complaint: Callable[[], str]) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        while not done():
            self._bootstrap.check()
            if time.monotonic() > deadline:
                raise CommandError(complaint(), hint=f"see {self.store.root / 'supervisor.log'}")
            time.sleep(_POLL)


def _with_namespace(document: Resource) -> Resource:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("namespace"):
        return document
    return {**document, "metadata": {**metadata, "namespace": NAMESPACE}}


def _settled(resource: Resource) -> bool:
    status = resource.get("status") or {}
    current = status.get("observedGeneration") == resource["metadata"].get("generation")
    # Zero replicas are as settled as it gets.
    return current and (status.get("phase") in ("Ready", "Failed") or _reason(status) == "ScaledToZero")


def _reason(status: Mapping[str, Any]) -> str:
    return next((entry["reason"] for entry in status.get("conditions") or [] if entry["type"] == "Ready"), "")
