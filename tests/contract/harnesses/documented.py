"""The example of docs/providers.md: what is shown as a whole provider is held to the contract."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from tests.contract.documented import TOKEN, Acme, shown
from tests.contract.harness import Harness, refusing, rule
from tests.contract.simulated_plant import served

from poolwright.actuation.provider import Conflict, Gone, Invalid, Unauthorised, Unreachable
from poolwright.settings import Settings

REFUSALS = {Conflict: 409, Invalid: 422, Unauthorised: 403, Unreachable: 503, Gone: 404}


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    acme = Acme()

    async def told() -> int:
        return acme.told

    async def meddle(count: int) -> None:
        acme.told = count

    async def remove() -> None:
        acme.removed = True

    async def settle(_: int) -> None: ...

    async with served(acme.app()) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            patch.setenv("ACME_TOKEN", TOKEN)
            patch.setenv("ACME_URL", proxy.url)
            provider = shown().AcmeProvider(rule("acme", {"fleet": "chat"}), Settings())
            yield Harness(
                provider,
                told,
                meddle,
                remove=remove,
                proxy=proxy,
                writes=lambda request: request.startswith(b"PUT "),
                refusals=refusing(acme.refusals, REFUSALS),
                settle=settle,
                rests_on_its_read=False,
            )
            await provider.close()
