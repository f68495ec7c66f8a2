"""Runs etcd, API server, controllers and scheduler on free ports, with data in a temporary folder.

`running()` starts one for the whole test run, at its first use, and stops it when Python ends. A
process that Python cannot stop any more (it was killed) ends with it: `setpriv --pdeathsig`.
"""

import atexit
import functools
import json
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from testenv.broker_config import write_certificate
from testenv.kubernetes.build import ETCD, missing, programs
from testenv.ports import HOST, free_port

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
CONTROLLERS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "resourcequota-controller",
    "garbage-collector-controller",
    "namespace-controller",
)


class ControlPlaneError(RuntimeError):
    """It could not be started."""


class NotBuilt(ControlPlaneError):  # noqa: N818  it reads as words
    """Its programs are not here; the message says how to get them."""


class ControlPlane:
    """`url` answers to whoever trusts `ca_file`; `token` may do everything."""

    def __init__(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="poolwright-kubernetes-"))
        self.port = free_port()
        self.url = f"https://{HOST}:{self.port}"
        self.ca_file = self.data / "ca.pem"
        self.key_file = self.data / "key.pem"
        """Key and certificate: a proxy before the API server is trusted with the same."""
        self.token = secrets.token_hex(16)
        self.kubeconfig = self.data / "kubeconfig"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        """By name, in the order of their start."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the API answers and the controllers run."""
        there = programs()
        write_certificate(self.key_file, self.ca_file)
        tokens = self.data / "tokens.csv"
        tokens.write_text(f"{self.token},admin,admin,system:masters\n")
        self.kubeconfig.write_text(json.dumps(self.config(self.token)))
        etcd = f"http://{HOST}:{free_port()}"
        peers = f"http://{HOST}:{free_port()}"
        self._run(
            str(there[ETCD]),
            f"--data-dir={self.data / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        )
        self._run(
            str(there["kube-apiserver"]),
            f"--etcd-servers={etcd}",
            f"--bind-address={HOST}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.key_file}",
            f"--tls-private-key-file={self.key_file}",
            f"--service-account-issuer={self.url}",
            f"--service-account-key-file={self.key_file}",
            f"--service-account-signing-key-file={self.key_file}",
            f"--token-auth-file={tokens}",
            f"--client-ca-file={self.ca_file}",
            "--authorization-mode=RBAC",
            # Pods need no service account: no kubelet gives them a token.
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--profiling=false",
        )
        self._wait("/readyz")
        own = f"--kubeconfig={self.kubeconfig}"
        serve = f"--bind-address={HOST}"
        for name, more in (
            ("kube-controller-manager", [f"--controllers={','.join(CONTROLLERS)}"]),
            ("kube-scheduler", []),
        ):
            self._run(
                str(there[name]),
                own,
                serve,
                f"--secure-port={free_port()}",
                f"--cert-dir={self.data / name}",
                "--leader-elect=false",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                *more,
            )

    def stop(self) -> None:
        """The API server before its etcd; whatever does not end in time is killed."""
        while self._processes:
            _, process = self._processes.popitem()
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.data, ignore_errors=True)

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    def serving_tls(self) -> ssl.SSLContext:
        """For a proxy in the API server's stead."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.key_file)
        return context

    def client(self, token: str | None = None) -> httpx2.AsyncClient:
        """Of the administrator, or of whoever has `token`."""
        return httpx2.AsyncClient(
            base_url=self.url,
            verify=self.tls(),
            headers={"authorization": f"Bearer {token or self.token}"},
            timeout=10.0,
        )

    def config(self, token: str, url: str | None = None) -> dict[str, Any]:
        """A kubeconfig of whoever has `token`, at the API server or at a proxy before it."""
        return self.config_of({"token": token}, url)

    def config_of(self, user: dict[str, Any], url: str | None = None) -> dict[str, Any]:
        cluster = {"server": url or self.url, "certificate-authority": str(self.ca_file)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }

    def _run(self, *command: str) -> None:
        name = Path(command[0]).name
        guard = shutil.which("setpriv")
        with (self.data / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*([guard, "--pdeathsig", "KILL"] if guard else []), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for pytest: it stops them in their order.
                start_new_session=True,
            )
        self._processes[name] = process

    def _wait(self, path: str) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        headers = {"authorization": f"Bearer {self.token}"}
        with httpx2.Client(base_url=self.url, verify=self.tls(), headers=headers) as client:
            while time.monotonic() < end:
                self._check_alive()
                try:
                    if client.get(path).status_code == 200:
                        return
                except httpx2.HTTPError:
                    pass
                time.sleep(0.1)
        raise ControlPlaneError(
            f"no answer in {START_TIMEOUT_S:g} s:\n{self._tail(list(self._processes))}"
        )

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise ControlPlaneError(
                    f"{name} ended with {process.returncode}:\n{self._tail([name])}"
                )

    def _tail(self, names: Sequence[str]) -> str:
        return "\n".join(
            line
            for name in names
            for line in (self.data / f"{name}.log").read_text(errors="replace").splitlines()[-20:]
        )


@functools.cache
def running() -> ControlPlane:
    """The one of this process."""
    if lacking := missing():
        raise NotBuilt(
            f"no real Kubernetes control plane here, NOT TESTED: {', '.join(lacking)} missing; "
            f"`make test-kubernetes` builds it, once a machine, in some minutes"
        )
    plane = ControlPlane()
    atexit.register(plane.stop)
    plane.start()
    return plane
