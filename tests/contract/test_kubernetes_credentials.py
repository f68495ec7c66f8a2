"""Credentials of the kubernetes provider: those that expire are renewed without a restart."""

import asyncio
import datetime as dt
import functools
import json
import os
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.harness import rule
from tests.contract.real_kubernetes import Cluster, cluster, scaled

from poolwright.actuation.kubernetes import access
from poolwright.actuation.kubernetes.exec_credential import Command
from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.actuation.providers.kubernetes import KubernetesProvider
from poolwright.errors import SettingsError
from poolwright.redaction import without_secrets
from poolwright.settings import Settings

TARGET = {"kind": "Deployment", "namespace": "inference", "name": "chat"}


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A way to write the kubeconfig, for a user."""

    def write(made: Cluster, user, url: str | None = None) -> None:
        config = made.plane.config_of(user, url)
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    return write


def provider(made: Cluster) -> KubernetesProvider:
    return KubernetesProvider(
        rule("kubernetes", {**TARGET, "namespace": made.namespace}), Settings()
    )


def refuses(token: str) -> Fault:
    """The API server's answer to a token that has expired."""
    body = json.dumps({"kind": "Status", "code": 401, "message": "Unauthorized"}).encode()
    return Fault(FaultKind.STATUS, only=lambda r: token.encode() in r, status=401, body=body)


async def test_a_token_that_expired_is_read_anew_from_its_file(tmp_path, monkeypatch, configured):
    async with scaled(tmp_path, monkeypatch) as made:
        file = tmp_path / "token"
        file.write_text(made.token + "\n")
        configured(made.cluster, {"tokenFile": "token"}, made.proxy.url)
        one = provider(made.cluster)
        assert (await one.read()).ready == 2
        made.proxy.fault = refuses(made.token)
        with pytest.raises(Unauthorised):
            await one.set_replicas(3, key="a")
        file.write_text(await made.cluster.token("poolwright"))
        await one.set_replicas(3, key="a")
        assert await made.cluster.count(made.path) == 3
        await one.close()


async def test_a_token_that_the_server_never_knew_is_unauthorised_and_not_shown(
    tmp_path, monkeypatch, configured
):
    async with scaled(tmp_path, monkeypatch) as made:
        file = tmp_path / "token"
        file.write_text("nobody-knows-this-token")
        configured(made.cluster, {"tokenFile": str(file)}, made.proxy.url)
        one = provider(made.cluster)
        with pytest.raises(Unauthorised, match="HTTP 401"):
            await one.set_replicas(3, key="a")
        assert len(made.proxy.requests) == 2, "once, and once more with what is read anew"
        assert "nobody-knows" not in without_secrets("it was nobody-knows-this-token")
        file.unlink()
        with pytest.raises(Unauthorised, match="cannot be read"):
            await one.set_replicas(3, key="a")
        file.write_text(made.token)
        await one.set_replicas(3, key="a")
        await one.close()


async def test_a_token_in_the_kubeconfig_is_read_anew(tmp_path, monkeypatch, configured):
    async with scaled(tmp_path, monkeypatch) as made:
        first = await made.cluster.token("poolwright")
        configured(made.cluster, {"token": first}, made.proxy.url)
        one = provider(made.cluster)
        assert (await one.read()).ready == 2
        configured(made.cluster, {"token": await made.cluster.token("poolwright")}, made.proxy.url)
        # Last: the provider's watch would meet it, too, and read what is not there yet.
        made.proxy.fault = refuses(first)
        await one.set_replicas(3, key="a")
        assert first not in without_secrets(f"Bearer {first}")
        (tmp_path / "kubeconfig").write_text("{}")
        made.proxy.fault = Fault(FaultKind.STATUS, status=401)
        with pytest.raises(Unauthorised, match="KUBECONFIG"):
            await one.set_replicas(4, key="a")
        await one.close()


async def test_a_deleted_account_is_unauthorised(tmp_path, monkeypatch, configured):
    """The real API server's own refusal: its token was valid, and no longer is."""
    async with scaled(tmp_path, monkeypatch) as made:
        token = await made.cluster.token("poolwright")
        await made.cluster.ask("DELETE", made.cluster.core("serviceaccounts", "poolwright"))
        configured(made.cluster, {"token": token})
        one = provider(made.cluster)
        with pytest.raises(Unauthorised):
            await one.read()
        await one.close()


async def test_in_a_pod_it_is_the_service_account(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        mounted = tmp_path / "serviceaccount"
        mounted.mkdir()
        (mounted / "token").write_text(made.token)
        (mounted / "namespace").write_text("elsewhere")
        (mounted / "ca.crt").write_text(made.cluster.plane.ca_file.read_text())
        host, _, port = made.cluster.plane.url.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        # Only where it is mounted is another place than in a pod.
        there = functools.partial(access.KubeConfig.from_env, service_account=str(mounted))
        monkeypatch.setattr(access.KubeConfig, "from_env", there)
        one = provider(made.cluster)
        assert (await one.read()).ready == 2
        await one.close()


async def test_a_client_certificate_says_who_asks(tmp_path, monkeypatch, configured):
    async with cluster() as made:
        await made.create()
        await made.kubelet.until(ready=2)
        ca = made.plane.key_file.read_bytes()
        authority = x509.load_pem_x509_certificate(ca)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.NameAttribute(NameOID.COMMON_NAME, "somebody"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        ]
        now = dt.datetime.now(dt.UTC)
        usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            x509.CertificateBuilder(authority.subject, x509.Name(names), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(usage, critical=False)
            .sign(serialization.load_pem_private_key(ca, None), hashes.SHA256())
        )
        (tmp_path / "me.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (tmp_path / "me.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        configured(made, {"client-certificate": "me.crt", "client-key": "me.key"})
        one = provider(made)
        assert (await one.read()).ready == 2
        await one.close()


# --- a command -----------------------------------------------------------------------------

VERSION = "client.authentication.k8s.io/v1"


def command(tmp_path, body: str) -> dict[str, object]:
    """The `exec` of a user whose command is Python, and notes that it ran."""
    script = tmp_path / "credentials.py"
    (tmp_path / "runs").touch()
    script.write_text(
        "import json, os, sys, time\n"
        f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n"
        "def give(**status): print(json.dumps({'kind': 'ExecCredential', 'status': status}))\n"
        + body
    )
    return {"exec": {"apiVersion": VERSION, "command": sys.executable, "args": [str(script)]}}


def runs(tmp_path) -> int:
    return len((tmp_path / "runs").read_text())


async def test_a_command_is_asked_again_when_the_server_refuses(tmp_path, monkeypatch, configured):
    async with scaled(tmp_path, monkeypatch) as made:
        (tmp_path / "current").write_text(made.token)
        current = str(tmp_path / "current")
        user = command(tmp_path, f"give(token=open({current!r}).read())")
        configured(made.cluster, user, made.proxy.url)
        one = provider(made.cluster)
        assert (await one.read()).ready == 2
        assert runs(tmp_path) == 1
        (tmp_path / "current").write_text(await made.cluster.token("poolwright"))
        made.proxy.fault = refuses(made.token)
        await one.set_replicas(3, key="a")
        assert await made.cluster.count(made.path) == 3
        assert runs(tmp_path) == 2
        await one.close()


@pytest.mark.parametrize(("left_s", "asked"), [(3600, 1), (1, 2)])
async def test_a_command_is_asked_again_before_what_it_gave_expires(
    left_s, asked, tmp_path, monkeypatch, configured
):
    async with scaled(tmp_path, monkeypatch) as made:
        until = dt.datetime.fromtimestamp(time.time() + left_s, dt.UTC).isoformat()
        user = command(tmp_path, f"give(token={made.token!r}, expirationTimestamp={until!r})")
        configured(made.cluster, user)
        one = provider(made.cluster)
        await one.set_replicas(2, key="a")
        await one.set_replicas(2, key="a")
        await one.close()
        assert runs(tmp_path) == asked


async def test_a_command_is_told_that_nobody_is_there_to_answer(tmp_path):
    told = tmp_path / "told"
    body = (
        f"told = open({str(told)!r}, 'w')\n"
        "told.write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['MINE'])\n"
        "give(token='given-token')"
    )
    exec_ = command(tmp_path, body)["exec"]
    line = (exec_["command"], *exec_["args"])
    token = await Command(VERSION, line, {"MINE": "too"}).token()
    assert token.value == "given-token"
    assert without_secrets("a given-token") == "a ***"
    assert '"interactive": false' in told.read_text()
    assert told.read_text().endswith("too")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('log in first')", "ended with 1: log in first"),
        ("print('no JSON with a-secret-inside')", "gave no ExecCredential"),
        ("give(clientCertificateData='x')", "client certificates from a command"),
    ],
)
async def test_a_command_that_gives_nothing_is_unauthorised(body, said, tmp_path):
    exec_ = command(tmp_path, body)["exec"]
    with pytest.raises(Unauthorised, match=said) as caught:
        await Command(VERSION, (exec_["command"], *exec_["args"]), {}).token()
    assert "a-secret-inside" not in str(caught.value)


async def test_a_command_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(Unauthorised, match="fetch it from here"):
        await Command(VERSION, (str(tmp_path / "absent"),), {}, "fetch it from here").token()


async def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("poolwright.actuation.kubernetes.exec_credential.TIME_LIMIT_S", 0.5)
    exec_ = command(
        tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )["exec"]
    with pytest.raises(Unreachable, match="did not end within"):
        await Command(VERSION, (exec_["command"], *exec_["args"]), {}).token()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- a configuration that cannot be used ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not found"),
        ("{}", "clusters"),
        ("[", "while parsing"),
        ("- 1", "credentials"),
    ],
)
def test_a_kubeconfig_that_is_none_is_told(text, said, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(SettingsError, match=said) as caught:
        KubernetesProvider(rule("kubernetes", TARGET), Settings())
    assert "set KUBECONFIG" in str(caught.value)


@pytest.mark.parametrize(
    ("user", "target", "said"),
    [
        ({"token": "x"}, {"context": "other"}, "other"),
        ({"auth-provider": {"name": "gcp"}}, {}, "exec"),
        ({"client-certificate": "absent.crt", "client-key": "absent.key"}, {}, "No such file"),
    ],
)
def test_what_a_kubeconfig_cannot_be_used_for_is_told(user, target, said, tmp_path, monkeypatch):
    config = {
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(SettingsError, match=said):
        KubernetesProvider(rule("kubernetes", {**TARGET, **target}), Settings())


async def test_several_that_are_refused_read_the_credentials_once(
    tmp_path, monkeypatch, configured
):
    async with scaled(tmp_path, monkeypatch) as made:
        (tmp_path / "current").write_text(made.token)
        current = str(tmp_path / "current")
        user = command(tmp_path, f"give(token=open({current!r}).read())")
        configured(made.cluster, user, made.proxy.url)
        one = provider(made.cluster)
        await asyncio.gather(*(one.read() for _ in range(5)))
        assert runs(tmp_path) == 1
        await one.close()
