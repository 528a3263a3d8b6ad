"""`ControlPlane`: a running etcd and kube-apiserver, as near to a real cluster's as one without nodes can be.

RBAC is on, ServiceAccounts are checked at admission, the certificate is verified. What only controllers do (default
ServiceAccounts, garbage collection, rollouts) is `node`'s part.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.binaries import Binaries
from controlplane.client import Client
from controlplane.counts import POLICY, Counted, Request, count_writes, read_audit
from controlplane.crds import CRDS, install
from controlplane.keys import signing_key
from controlplane.kubeconfig import kubeconfig, write_private
from controlplane.programs import HOST, Program, free_ports

ADMIN = "admin"
USERS = {"alice": (), "bob": ()}
"""Two people without any rights, until a test binds a role to them."""
_ATTEMPTS = 4
_PATIENCE = 90.0
"""Seconds until the API server is ready; it takes 3 on an idle machine."""


class ControlPlaneError(Exception):
    """It did not come up, or refused what setting it up needs."""


class ControlPlane:
    """One API server and its etcd.

    Attributes:
        url: `https://127.0.0.1:PORT`, the same through restarts.
        kubeconfig: path of the administrator's kubeconfig.
        folder: everything of it; gone after `stop`.
        binaries: the programs that it runs.
    """

    def __init__(
        self,
        binaries: Binaries,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        audit: bool = True,
        crds: Sequence[Path] | None = None,
    ) -> None:
        """Start it, with `crds` (folders of YAML; by default ours and the Gateway API's) established.

        `users` have groups. `audit` keeps an entry of every request for `requests`.

        Raises:
            ControlPlaneError: with the end of the log of what ended.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="kaos-controlplane-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self.binaries = binaries
        self._audit = self.folder / "audit.log" if audit else None
        self._tokens = {ADMIN: secrets.token_urlsafe(24)}
        self._groups: dict[str, tuple[str, ...]] = {ADMIN: ("system:masters",)}
        self._etcd: Program | None = None
        self._api: Program | None = None
        self._client: Client | None = None
        for name, groups in (USERS if users is None else users).items():
            self._take_user(name, groups)
        try:
            self._begin()
            install(self.client, (*CRDS, binaries.gateway_crds) if crds is None else crds)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client(self) -> Client:
        """The administrator's connections."""
        if self._client is None:
            raise ControlPlaneError("the API server has not been started")
        return self._client

    @property
    def authority(self) -> Path:
        """The PEM file that the server's certificate is verified with."""
        return self.folder / "certificates" / "apiserver.crt"

    def token(self, user: str = ADMIN) -> str:
        """The bearer token of a user."""
        return self._tokens[user]

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> tuple[int, Any]:
        """Ask as the administrator, or with another token; status and parsed body. 4xx and 5xx are answers too."""
        return self.client.request(method, path, body, content_type=content_type, token=token)

    def kubectl(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002  # as `subprocess.run` calls it
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """The real one, as the administrator unless another kubeconfig is given. A failure is in `returncode`."""
        return subprocess.run(  # noqa: S603
            [self.binaries.kubectl, *arguments],
            input=input,
            env={**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig), **self._kubectl_caches()},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def _kubectl_caches(self) -> dict[str, str]:
        # Ports come again: another control plane's API must not be taken for this one's.
        return {"KUBECACHEDIR": str(self.folder / "kubectl")}

    def add_user(self, name: str, groups: Sequence[str] = ()) -> None:
        """Add one while it runs. The API server reads its users at the start only, so it is restarted (3 s)."""
        self._take_user(name, groups)
        self.restart_api_server()

    def _take_user(self, name: str, groups: Sequence[str]) -> None:
        self._tokens.setdefault(name, secrets.token_urlsafe(24))
        self._groups[name] = tuple(groups)

    def kubeconfig_for(self, name: str, namespace: str | None = None, *, seconds: int = 3600) -> Path:
        """A kubeconfig of a user; with a namespace, of the service account of that name there.

        Its token is of TokenRequest and lasts `seconds` (at least 600).
        """
        if namespace is None:
            token = self._tokens[name]
        else:
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
            asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
            status, answer = self.request("POST", path, {**asked, "spec": {"expirationSeconds": seconds}})
            if status != 201:
                raise ControlPlaneError(f"no token for {namespace}/{name}: {answer['message']}")
            token = answer["status"]["token"]
        text = kubeconfig(self.url, self.authority.read_bytes(), name, token, namespace or "default")
        return write_private(self.folder / f"kubeconfig-{namespace or ''}-{name}-{secrets.token_hex(4)}", text)

    def writes(self, *, without: Sequence[str] = ("leases",)) -> Counted:
        """How many writes it has answered since it was started, by itself counted (the API server's own too).

        Subtract an earlier one. Its tests and other writers count as well: `requests` tells them apart.
        """
        _, text = self.request("GET", "/metrics")
        return count_writes(text, frozenset(without))

    def mark(self) -> int:
        """Where the audit log ends now, for `requests`."""
        return self._audit.stat().st_size if self._audit and self._audit.exists() else 0

    def requests(self, since: int = 0, *, agent: str = "", user: str = "", namespace: str = "") -> list[Request]:
        """Answered requests since a `mark`; of user agents that begin with `agent`, of a user, in a namespace.

        An entry is written when the answer is: look again rather than once for one that was sent a moment ago.
        """
        if self._audit is None:
            raise ControlPlaneError("it was started without an audit log")
        return [
            request
            for request in read_audit(self._audit, since)
            if request.agent.startswith(agent) and user in ("", request.user) and namespace in ("", request.namespace)
        ]

    def stop_api_server(self) -> None:
        """Kill it; etcd goes on. Requests are refused until `start_api_server`."""
        self.client.close()
        if self._api:
            self._api.kill()

    def start_api_server(self, *, compact: bool = False) -> None:
        """Start it again on the same port. `compact`: etcd has forgotten every earlier version (F12).

        Raises:
            ControlPlaneError: it did not come up.
        """
        if compact:
            self._compact()
        self._start_api()
        self._wait_ready()

    def restart_api_server(self, *, compact: bool = False) -> None:
        """Both. Who watches is cut off, and with `compact` no old resourceVersion can be watched from."""
        self.stop_api_server()
        self.start_api_server(compact=compact)

    def stop(self) -> None:
        """End both and remove the folder."""
        if self._client:
            self._client.close()
        for program in (self._api, self._etcd):
            if program:
                program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # How it starts.

    def _begin(self) -> None:
        (self.folder / "signing.key").touch(mode=0o600)
        (self.folder / "signing.key").write_text(signing_key(), "ascii")
        (self.folder / "audit.json").write_text(json.dumps(POLICY), "utf-8")
        for attempt in range(_ATTEMPTS):
            self._api_port, self._etcd_port, peers = free_ports(3)
            self.url = f"https://{HOST}:{self._api_port}"
            self._start_etcd(peers)
            try:
                self._start_api()
                self._wait_ready()
            except ControlPlaneError as error:
                self._end()
                # Somebody else was quicker with one of the ports.
                if attempt + 1 == _ATTEMPTS or "address already in use" not in str(error):
                    raise
            else:
                write_private(
                    self.kubeconfig, kubeconfig(self.url, self.authority.read_bytes(), ADMIN, self._tokens[ADMIN])
                )
                return

    def _end(self) -> None:
        for program in (self._api, self._etcd):
            if program:
                program.kill()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def _start_etcd(self, peers: int) -> None:
        here, other = f"http://{HOST}:{self._etcd_port}", f"http://{HOST}:{peers}"
        self._etcd = Program(
            [
                self.binaries.etcd,
                f"--data-dir={self.folder / 'etcd'}",
                "--unsafe-no-fsync",
                "--log-level=error",
                f"--listen-client-urls={here}",
                f"--advertise-client-urls={here}",
                f"--listen-peer-urls={other}",
                f"--initial-advertise-peer-urls={other}",
                f"--initial-cluster=default={other}",
            ],
            self.folder / "etcd.log",
            remove=self.folder,
        )

    def _start_api(self) -> None:
        rows = [_row(token, name, self._groups[name]) for name, token in self._tokens.items()]
        write_private(self.folder / "users.csv", "\n".join(rows) + "\n")
        key = self.folder / "signing.key"
        audit = [f"--audit-log-path={self._audit}", f"--audit-policy-file={self.folder / 'audit.json'}"]
        self._api = Program(
            [
                self.binaries.kube_apiserver,
                f"--etcd-servers=http://{HOST}:{self._etcd_port}",
                f"--bind-address={HOST}",
                f"--secure-port={self._api_port}",
                f"--advertise-address={HOST}",
                # A loopback address may be nobody's endpoint, and nobody asks for this one.
                "--endpoint-reconciler-type=none",
                f"--cert-dir={self.folder / 'certificates'}",
                f"--token-auth-file={self.folder / 'users.csv'}",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--allow-privileged",
                "--profiling=false",
                *(audit if self._audit else ()),
            ],
            self.folder / "kube-apiserver.log",
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            for program in (self._etcd, self._api):
                if program and not program.running:
                    raise ControlPlaneError(program.why())
            if self._is_ready():
                return
            if time.monotonic() > deadline:
                log = self._api.log.read_text("utf-8", "replace")[-1500:] if self._api else ""
                raise ControlPlaneError(f"kube-apiserver is not ready after {_PATIENCE:g} s: {log}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            if self._client is None or self._client.port != self._api_port:
                # It makes its certificate when it first starts.
                context = ssl.create_default_context(cafile=str(self.authority))
                self._client = Client(HOST, self._api_port, context, self._tokens[ADMIN])
            ready, _ = self._client.request("GET", "/readyz")
            there, _ = self._client.request("GET", "/api/v1/namespaces/default")
        except (OSError, http.client.HTTPException):
            return False
        return ready == 200 and there == 200

    def _compact(self) -> None:
        """With one more write first: the last version that a client has seen is too old too."""
        key = "L2thb3MtdGVzdHMvY29tcGFjdGlvbg=="  # base64 of /kaos-tests/compaction, outside of what the API server has
        revision = self._ask_etcd("kv/put", {"key": key, "value": key})["header"]["revision"]
        self._ask_etcd("kv/compaction", {"revision": revision, "physical": True})

    def _ask_etcd(self, method: str, body: Mapping[str, Any]) -> Any:
        asked = urllib.request.Request(
            f"http://{HOST}:{self._etcd_port}/v3/{method}", json.dumps(body).encode(), method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=30) as answer:
            return json.load(answer)


def _row(token: str, name: str, groups: Sequence[str]) -> str:
    """A line of the token file: token, name, uid, groups."""
    listed = f',"{",".join(groups)}"' if groups else ""
    return f"{token},{name},{name}{listed}"
