"""An instance group of the fake, a service account for it, and the provider between them."""

import contextlib
import functools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from testenv.fault_proxy import FaultProxy, fault_proxy
from tests.contract.fake_google import GROUP, PROJECT, FakeGoogle, Refusal
from tests.contract.harness import Harness, refusing, rule

from poolwright.actuation.provider import (
    Conflict,
    Gone,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.gcp_instance_group import GcpInstanceGroupProvider
from poolwright.settings import Settings

REFUSALS = {
    NoCapacity: Refusal(403, "quotaExceeded", "Quota 'NVIDIA_H100_GPUS' exceeded. Limit: 16.0"),
    Throttled: Refusal(403, "rateLimitExceeded", "Rate Limit Exceeded"),
    Unauthorised: Refusal(
        403, "forbidden", "Required 'compute.instanceGroupManagers.update' permission"
    ),
    Conflict: Refusal(400, "resourceNotReady", "The resource is not ready"),
    Gone: Refusal(404, "notFound", "The resource was not found"),
    Unreachable: Refusal(503, "backendError", "Backend Error"),
}


@dataclass
class World:
    fake: FakeGoogle
    proxy: FaultProxy
    provider: GcpInstanceGroupProvider
    account: Path
    """The key file of the service account."""


@functools.cache
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, form, serialization.NoEncryption()).decode()


def write_account(path: Path, url: str) -> None:
    """As `gcloud iam service-accounts keys create` writes it."""
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": private_key(),
        "client_email": f"poolwright@{PROJECT}.iam.gserviceaccount.com",
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(account))


@contextlib.asynccontextmanager
async def world(
    folder: Path, patch: pytest.MonkeyPatch, place: str = "zones/us-central1-a"
) -> AsyncIterator[World]:
    fake = FakeGoogle(place)
    async with fake.serving() as url:
        write_account(folder / "account.json", url)
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "account.json"))
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            kind, _, where = place.partition("s/")
            target = {
                "project": PROJECT,
                kind: where,
                "name": GROUP,
                "endpoint": f"{proxy.url}/compute/v1",
                "permissions_endpoint": f"{proxy.url}/v3",
            }
            provider = GcpInstanceGroupProvider(rule("gcp_instance_group", target), Settings())
            yield World(fake, proxy, provider, folder / "account.json")
            await provider.close()


@contextlib.asynccontextmanager
async def harness_in(place: str, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with world(folder, patch, place) as made:
        fake = made.fake

        async def told() -> int:
            assert fake.size is not None
            return fake.size

        async def meddle(count: int) -> None:
            fake.resize(count)

        async def remove() -> None:
            fake.size = None

        async def settle(_: int) -> None:
            fake.settle()

        yield Harness(
            made.provider,
            told,
            meddle,
            remove=remove,
            proxy=made.proxy,
            writes=lambda request: b"/resize?" in request.partition(b"\r\n")[0],
            refusals=refusing(fake.refusals, REFUSALS),
            settle=settle,
        )
