"""The http provider as rules/apis/nomad.yaml has it, against an imitation of Nomad's scale API."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from tests.contract.harness import Harness, refusing, rule
from tests.contract.harnesses.http import described
from tests.contract.imitated_nomad import ImitatedNomad
from tests.contract.simulated_plant import served

from poolwright.actuation.provider import Conflict, Invalid, Throttled, Unauthorised, Unreachable
from poolwright.actuation.providers.http import HttpProvider

TOKEN = "5d3f-nomad-token"
ANSWERS = {
    Conflict: (400, "job scaling blocked due to active deployment"),
    Invalid: (400, "group count was greater than scaling policy maximum: 5 > 4"),
    Throttled: (429, "Too Many Requests"),
    Unauthorised: (403, "Permission denied"),
    Unreachable: (500, "No cluster leader"),
}


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    nomad = ImitatedNomad(TOKEN)
    patch.setenv("NOMAD_TOKEN", TOKEN)

    async def told() -> int:
        return nomad.count

    async def meddle(count: int) -> None:
        nomad.count = count

    async def remove() -> None:
        nomad.exists = False

    async def settle(count: int) -> None:
        nomad.running = count

    async with served(nomad.app()) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            settings = described(folder, "nomad.yaml", ("http://127.0.0.1:4646", proxy.url))
            target = {"ref": "nomad", "job": nomad.job, "group": nomad.group}
            provider = HttpProvider(rule("http", target), settings)
            yield Harness(
                provider,
                told,
                meddle,
                remove=remove,
                proxy=proxy,
                writes=lambda request: request.startswith(b"POST "),
                refusals=refusing(nomad.refusals, ANSWERS),
                settle=settle,
                rests_on_its_read=False,
            )
            await provider.close()
