"""One contract for every provider: a harness gives the provider and a way to make its API fail."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.fake_kubernetes import FakeKubernetes
from tests.contract.simulated_plant import FAULTS, SimulatedPlant, served, without_replies

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    NoCapacity,
    Provider,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.kubernetes import KubernetesProvider
from poolwright.actuation.providers.simulated import SimulatedProvider
from poolwright.actuation.registry import find_factory
from poolwright.errors import SettingsError
from poolwright.model.rule import PoolRole, PoolRule
from poolwright.settings import Settings


@dataclass
class Harness:
    provider: Provider
    fail_next_write: Callable[[type[CallError]], None]
    fake: FakeKubernetes | None = None
    plant: SimulatedPlant | None = None
    url: str = ""


def pool(target: dict[str, object], provider: str = "kubernetes") -> PoolRule:
    return PoolRule("chat-h100", PoolRole.DEFAULT, provider, target, 0, 9)


def write_kubeconfig(path: Path, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))


@contextlib.asynccontextmanager
async def kubernetes(
    folder: Path, patch: pytest.MonkeyPatch, kind: str = "Deployment", name: str = "chat"
) -> AsyncIterator[Harness]:
    fake = FakeKubernetes()
    codes = {Conflict: 409, Throttled: 429, Unauthorised: 403, Unreachable: 503, Gone: 404}
    async with fake.serving() as url:
        write_kubeconfig(folder / "kubeconfig", url)
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        target: dict[str, object] = {"kind": kind, "namespace": "inference", "name": name}
        provider = KubernetesProvider(pool(target), Settings())
        yield Harness(provider, lambda error: fake.answers.append(codes[error]), fake)
        await provider.close()


@contextlib.asynccontextmanager
async def simulated(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    rule = pool({}, "simulated")
    plant = SimulatedPlant(rule)
    async with plant.serving() as url:
        provider = SimulatedProvider(rule, Settings(simulated_url=url))
        yield Harness(provider, plant.fail_next_write, plant=plant, url=url)
        await provider.close()


PROVIDERS = {"kubernetes": kubernetes, "simulated": simulated}
"""Add a provider's harness here, and the whole contract holds for it."""
ERRORS: dict[str, tuple[type[CallError], ...]] = {
    "kubernetes": (Conflict, Throttled, Unauthorised, Unreachable, Gone),
    "simulated": (NoCapacity, Unreachable),
}
"""What the provider's API can answer to a write."""


@pytest.fixture(params=sorted(PROVIDERS))
async def harness(request, tmp_path, monkeypatch):
    async with PROVIDERS[request.param](tmp_path, monkeypatch) as made:
        yield made


async def test_reads_what_was_set(harness: Harness):
    await harness.provider.set_replicas(5, key="a")
    report = await harness.provider.read()
    assert (report.pool, report.desired) == ("chat-h100", 5)


async def test_the_same_order_twice_is_one(harness: Harness):
    await harness.provider.set_replicas(3, key="a")
    await harness.provider.set_replicas(3, key="a")
    assert (await harness.provider.read()).desired == 3


@pytest.mark.parametrize(
    ("harness", "error"),
    [(name, error) for name, errors in ERRORS.items() for error in errors],
    indirect=["harness"],
)
async def test_a_refused_write_has_its_meaning_and_changes_nothing(harness: Harness, error):
    before = (await harness.provider.read()).desired
    harness.fail_next_write(error)
    with pytest.raises(error) as caught:
        await harness.provider.set_replicas(before + 2, key="a")
    if error is Throttled:
        assert caught.value.retry_after_s == 3
    assert (await harness.provider.read()).desired == before


@pytest.mark.parametrize("kind", ["StatefulSet", "LeaderWorkerSet"])
async def test_kubernetes_scales_other_kinds(kind, tmp_path, monkeypatch):
    async with kubernetes(tmp_path, monkeypatch, kind) as made:
        await made.provider.set_replicas(4, key="a")
        assert (await made.provider.read()).ready == 4


async def test_kubernetes_a_missing_object_is_gone(tmp_path, monkeypatch):
    async with kubernetes(tmp_path, monkeypatch, name="nobody") as made:
        with pytest.raises(Gone):
            await made.provider.read()


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
        assert caught.value.kind == "unreachable"
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


async def test_kubernetes_a_write_in_between_is_a_conflict(tmp_path, monkeypatch):
    async with kubernetes(tmp_path, monkeypatch) as made:
        made.fake.write_in_between = True
        with pytest.raises(Conflict):
            await made.provider.set_replicas(6, key="a")
        assert (await made.provider.read()).desired == 2
