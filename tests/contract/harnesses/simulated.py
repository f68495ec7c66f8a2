"""The simulated provider: a real plant behind its own HTTP API."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from tests.contract.harness import Harness, rule
from tests.contract.simulated_plant import SimulatedPlant

from poolwright.actuation.provider import NoCapacity
from poolwright.actuation.providers.simulated import SimulatedProvider
from poolwright.settings import Settings


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    pool = rule("simulated", {})
    plant = SimulatedPlant(pool)

    async def told() -> int:
        return plant.plant.report(pool.name).desired

    async def meddle(count: int) -> None:
        plant.plant.set_replicas(pool.name, count, at=plant.clock.now())

    async def out_of_stock() -> None:
        plant.fail_next_write(NoCapacity)

    async def settle(_: int) -> None:
        plant.advance(plant.clock.now() + 100.0)

    async with plant.serving() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            provider = SimulatedProvider(pool, Settings(simulated_url=proxy.url))
            yield Harness(
                provider,
                told,
                meddle,
                proxy=proxy,
                writes=lambda request: request.startswith(b"PUT "),
                refusals={NoCapacity: out_of_stock},
                settle=settle,
                rests_on_its_read=False,
            )
            await provider.close()
