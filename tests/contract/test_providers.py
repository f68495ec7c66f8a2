"""What is a provider's own, beyond the contract of all (`test_contract.py`)."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.simulated_plant import FAULTS, SimulatedPlant, served, without_replies

from poolwright.actuation.provider import (
    CallError,
    Gone,
    NoCapacity,
    Provider,
    Unreachable,
)
from poolwright.actuation.providers.simulated import SimulatedProvider
from poolwright.actuation.registry import find_factory
from poolwright.errors import SettingsError
from poolwright.model.rule import PoolRole, PoolRule
from poolwright.settings import Settings


@dataclass
class Harness:
    provider: Provider
    fail_next_write: Callable[[type[CallError]], None]
    plant: SimulatedPlant | None = None
    url: str = ""


def pool(target: dict[str, object], provider: str) -> PoolRule:
    return PoolRule("chat-h100", PoolRole.DEFAULT, provider, target, 0, 9)


@contextlib.asynccontextmanager
async def simulated(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    rule = pool({}, "simulated")
    plant = SimulatedPlant(rule)
    async with plant.serving() as url:
        provider = SimulatedProvider(rule, Settings(simulated_url=url))
        yield Harness(provider, plant.fail_next_write, plant=plant, url=url)
        await provider.close()


async def test_simulated_a_stockout_says_what_was_granted(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made:
        made.fail_next_write(NoCapacity)
        with pytest.raises(NoCapacity) as caught:
            await made.provider.set_replicas(5, key="a")
        assert caught.value.granted == 2
        await made.provider.set_replicas(5, key="b")
        assert (await made.provider.read()).desired == 5


async def test_simulated_replicas_start_and_are_ready(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made:
        report = await made.provider.read()
        assert (report.ready, report.starting, report.terminating) == (0, 2, 0)
        made.plant.advance(100.0)
        report = await made.provider.read()
        assert (report.at, report.ready, report.starting) == (100.0, 2, 0)


async def test_simulated_reads_fail_too_while_the_api_is_unreachable(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made:
        fault = FAULTS[Unreachable]
        made.plant.advance(fault.at_s)
        with pytest.raises(Unreachable):
            await made.provider.read()
        made.plant.advance(fault.at_s + fault.duration_s)
        assert (await made.provider.read()).desired == 2


async def test_simulated_a_lost_reply_is_unreachable_and_reading_back_tells(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made, without_replies(made.url) as url:
        deaf = SimulatedProvider(pool({}, "simulated"), Settings(simulated_url=url))
        with pytest.raises(Unreachable) as caught:
            await deaf.set_replicas(4, key="a")
        await deaf.close()
        assert caught.value.ambiguous
        assert (await made.provider.read()).desired == 4


async def test_simulated_a_pool_that_the_plant_does_not_have_is_gone(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made:
        target: dict[str, object] = {"pool": "nobody"}
        other = SimulatedProvider(pool(target, "simulated"), Settings(simulated_url=made.url))
        with pytest.raises(Gone):
            await other.read()
        with pytest.raises(Gone):
            await other.set_replicas(3, key="a")
        await other.close()


async def test_simulated_an_order_that_the_plant_refuses_has_a_kind(tmp_path, monkeypatch):
    async with simulated(tmp_path, monkeypatch) as made:
        with pytest.raises(CallError) as caught:
            await made.provider.set_replicas(-1, key="a")
        assert caught.value.kind == "invalid"
        assert (await made.provider.read()).desired == 2


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"desired": null}', b"null"])
async def test_simulated_an_answer_without_counts_is_unreachable(body):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with served(app) as url:
        provider = SimulatedProvider(pool({}, "simulated"), Settings(simulated_url=url))
        with pytest.raises(Unreachable):
            await provider.read()
        await provider.close()


async def test_simulated_nobody_at_the_address_is_unreachable():
    async with served(lambda *_: None) as url:
        pass
    provider = SimulatedProvider(pool({}, "simulated"), Settings(simulated_url=url))
    with pytest.raises(Unreachable, match="POOLWRIGHT_SIMULATED_URL"):
        await provider.read()
    await provider.close()


def test_simulated_a_target_that_is_no_name_is_told():
    with pytest.raises(SettingsError, match=r"simulated\.pool"):
        SimulatedProvider(pool({"pool": 3}, "simulated"), Settings())


def test_an_unknown_provider_is_told_which_there_are():
    with pytest.raises(SettingsError, match="nebula"):
        find_factory("nebula")
