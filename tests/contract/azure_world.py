"""A scale set of the fake, a managed identity for it, and the provider between them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from testenv.fault_proxy import FaultProxy, fault_proxy
from tests.contract.fake_azure import (
    GROUP,
    HEADER,
    NAME,
    SUBSCRIPTION,
    FakeAzure,
    Refusal,
    error,
)
from tests.contract.harness import Harness, refusing, rule

from poolwright.actuation.provider import (
    Conflict,
    Gone,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.azure_scale_set import AzureScaleSetProvider
from poolwright.settings import Settings

QUOTA = (
    "Operation could not be completed as it results in exceeding approved "
    "standardNDSH100v5Family Cores quota."
)
REFUSALS = {
    NoCapacity: Refusal(409, error("OperationNotAllowed", QUOTA)),
    Throttled: Refusal(429, error("TooManyRequests", "too many"), {"retry-after": "17"}),
    Unauthorised: Refusal(403, error("AuthorizationFailed", "does not have authorization")),
    Conflict: Refusal(409, error("OperationPreempted", "preempted by another operation")),
    Gone: Refusal(404, error("ResourceNotFound", "was not found")),
    Unreachable: Refusal(500, error("InternalExecutionError", "An internal error occurred")),
}


@dataclass
class World:
    fake: FakeAzure
    proxy: FaultProxy
    provider: AzureScaleSetProvider


@contextlib.asynccontextmanager
async def world(patch: pytest.MonkeyPatch, *, flexible: bool = False) -> AsyncIterator[World]:
    fake = FakeAzure(flexible=flexible)
    async with fake.serving() as url:
        # As on App Service; the chain of azure-identity finds it by these variables.
        patch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        patch.setenv("IDENTITY_ENDPOINT", f"{url}/identity")
        patch.setenv("IDENTITY_HEADER", HEADER)
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            target = {
                "subscription": SUBSCRIPTION,
                "resource_group": GROUP,
                "name": NAME,
                "endpoint": proxy.url,
            }
            provider = AzureScaleSetProvider(rule("azure_scale_set", target), Settings())
            yield World(fake, proxy, provider)
            await provider.close()


@contextlib.asynccontextmanager
async def harness_of(patch: pytest.MonkeyPatch, *, flexible: bool) -> AsyncIterator[Harness]:
    async with world(patch, flexible=flexible) as made:
        fake = made.fake

        async def told() -> int:
            assert fake.capacity is not None
            return fake.capacity

        async def meddle(count: int) -> None:
            fake.resize(count)

        async def remove() -> None:
            fake.capacity = None

        async def settle(_: int) -> None:
            fake.settle()

        yield Harness(
            made.provider,
            told,
            meddle,
            remove=remove,
            proxy=made.proxy,
            writes=lambda request: request.startswith(b"PATCH "),
            refusals=refusing(fake.refusals, REFUSALS),
            settle=settle,
        )
