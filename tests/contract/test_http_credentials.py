"""How the http provider proves whose its requests are, and what happens when secrets rotate."""

import base64
import os
import ssl
from pathlib import Path

import pytest
from testenv.broker_config import write_certificate
from testenv.fault_proxy import fault_proxy
from tests.contract.harness import rule
from tests.contract.harnesses.http import SECRET, wse_settings
from tests.contract.simulated_plant import served
from tests.contract.small_api import COUNTS, FILE, Says, SmallApi, provider_of, small_api
from tests.contract.wse_cloud import KEY_ID, SYSTEM, WseCloud

from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.actuation.providers.http import HttpProvider
from poolwright.redaction import without_secrets

TOKEN = "t0ken-of-the-test"


async def test_a_bearer_token_goes_with_each_request(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    async with small_api(tmp_path, "auth: {bearer: {env: API_TOKEN}}") as (provider, api):
        await provider.read()
        await provider.set_replicas(3, key="a")
    assert [a.headers["authorization"] for a in api.asked] == [f"Bearer {TOKEN}"] * 2


async def test_a_token_may_stand_alone_in_a_header_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    more = 'auth: {bearer: {env: API_TOKEN, header: X-Api-Key, scheme: ""}}'
    async with small_api(tmp_path, more) as (provider, api):
        await provider.read()
    assert api.asked[0].headers["x-api-key"] == TOKEN
    assert "authorization" not in api.asked[0].headers


async def test_user_and_password(tmp_path):
    (tmp_path / "password").write_text("pässword/1\n")
    more = f"auth: {{basic: {{username: me, password: {{file: {tmp_path}/password}}}}}}"
    async with small_api(tmp_path, more) as (provider, api):
        await provider.read()
    pair = base64.b64decode(api.asked[0].headers["authorization"].removeprefix("Basic "))
    assert pair.decode() == "me:pässword/1"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"", "is empty"), (b"a\nb", "control character"), (b"\xff", "UTF-8")],
)
async def test_a_secret_that_cannot_be_had_is_told_and_nothing_is_asked(tmp_path, content, why):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    more = f"auth: {{bearer: {{file: {tmp_path}/token}}}}"
    async with small_api(tmp_path, more) as (provider, api):
        with pytest.raises(Unauthorised, match=why):
            await provider.read()
        assert api.asked == []


async def test_a_variable_that_is_not_set_is_told_by_its_name(tmp_path, monkeypatch):
    monkeypatch.delenv("API_TOKEN", raising=False)
    async with small_api(tmp_path, "auth: {bearer: {env: API_TOKEN}}") as (provider, _):
        with pytest.raises(Unauthorised, match="the environment variable API_TOKEN is empty or"):
            await provider.inspect()


async def test_a_rotated_file_is_used_from_the_next_call_on(tmp_path):
    file = tmp_path / "token"
    more = f"auth: {{bearer: {{file: {file}}}}}"
    async with small_api(tmp_path, more) as (provider, api):
        for token in ("first-t0ken", "other-t0ken"):
            file.write_text(token)
            await provider.read()
    assert [a.headers["authorization"] for a in api.asked] == [
        "Bearer first-t0ken",
        "Bearer other-t0ken",
    ]


async def test_what_was_rotated_during_the_call_is_tried_once_after_a_401(tmp_path):
    file = tmp_path / "token"
    file.write_text("first-t0ken")

    class Rotating(SmallApi):
        async def __call__(self, scope, receive, send):
            file.write_text("other-t0ken")
            await super().__call__(scope, receive, send)

    api = Rotating([Says({}, 401), Says({}), Says({}, 401), Says({}, 401)])
    async with served(api) as url:
        more = f"auth: {{bearer: {{file: {file}}}}}"
        provider = provider_of(tmp_path, FILE.format(url=url) + more)
        await provider.set_replicas(3, key="a")
        assert [a.headers["authorization"] for a in api.asked] == [
            "Bearer first-t0ken",
            "Bearer other-t0ken",
        ]
        # One that is the same still is not tried again.
        with pytest.raises(Unauthorised):
            await provider.set_replicas(3, key="b")
        assert len(api.asked) == 3
        await provider.close()


async def test_a_signature_is_checked_by_the_cloud_and_its_key_may_rotate(tmp_path, monkeypatch):
    monkeypatch.setenv("WSE_CLOUD_KEY_ID", KEY_ID)
    cloud = WseCloud(SECRET)
    async with served(cloud.app()) as url:
        settings = wse_settings(tmp_path, url)
        provider = HttpProvider(rule("http", {"ref": "wse-cloud", "system": SYSTEM}), settings)
        await provider.set_replicas(4, key="a")
        assert cloud.ordered == 4
        cloud.secret = "another-key-of-the-cloud"
        with pytest.raises(Unauthorised, match="cannot verify"):
            await provider.read()
        (tmp_path / "key").write_text(cloud.secret)
        assert (await provider.read()).desired == 4
        await provider.close()


async def test_what_an_api_quotes_of_a_credential_is_hidden(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    async with small_api(tmp_path, "auth: {bearer: {env: API_TOKEN}}") as (provider, api):
        api.says = [Says({"why": f"the key {TOKEN} may not"}, 403)]
        with pytest.raises(Unauthorised, match=r"the key \*\*\* may not") as caught:
            await provider.read()
        assert TOKEN not in repr(caught.value)
        api.says = [Says({**COUNTS, "short": f"{TOKEN} is over its quota"})]
        assert without_secrets((await provider.read()).short) == "*** is over its quota"


# --- certificates --------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Certificate with its key, and the certificate alone: PEM."""
    both, alone = folder / f"{name}-key.pem", folder / f"{name}.pem"
    write_certificate(both, alone)
    return both, alone


def only_for(server: Path, client: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_mutual_tls_with_certificates_that_rotate(tmp_path):
    server, ca = certificate(tmp_path, "server")
    client, known = certificate(tmp_path, "client")
    stranger, _ = certificate(tmp_path, "stranger")
    used = tmp_path / "used.pem"
    used.write_bytes(stranger.read_bytes())
    async with served(SmallApi()) as url:
        port = int(url.rpartition(":")[2])
        async with fault_proxy("127.0.0.1", port, serve_tls=only_for(server, known)) as proxy:
            tls = f"tls: {{ca: {{file: {ca}}}, cert: {{file: {used}}}}}"
            provider = provider_of(tmp_path, FILE.format(url=proxy.url) + tls)
            with pytest.raises(Unreachable, match="the certificates"):
                await provider.read()
            os.utime(client, ns=(1, 1))
            client.replace(used)
            assert (await provider.read()).desired == 2
            # The client of the certificate before is closed with the one after it.
            used.write_bytes(stranger.read_bytes())
            with pytest.raises(Unreachable):
                await provider.read()
            await provider.close()


async def test_an_authority_that_is_not_named_is_not_trusted(tmp_path):
    server, _ = certificate(tmp_path, "server")
    _, other = certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    async with (
        served(SmallApi()) as url,
        fault_proxy("127.0.0.1", int(url.rpartition(":")[2]), serve_tls=context) as proxy,
    ):
        for tls in ("", f"tls: {{ca: {{file: {other}}}}}"):
            provider = provider_of(tmp_path, FILE.format(url=proxy.url) + tls)
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await provider.read()
            await provider.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_used_are_told(tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    tls = f"tls: {{ca: {{file: {tmp_path}/ca.pem}}}}"
    provider = provider_of(tmp_path, FILE.format(url="https://127.0.0.1:9") + tls)
    with pytest.raises(Unauthorised, match="mend the files"):
        await provider.read()
    await provider.close()
