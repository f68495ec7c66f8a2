"""What is a provider's own, beyond the contract of all (`test_contract.py`)."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.fake_kubernetes import FakeKubernetes
from tests.contract.harnesses.kubernetes__imitated import write_kubeconfig
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
from poolwright.actuation.providers.kubernetes import (
    KubernetesProvider,
    deletion_cost,
    is_pod_of,
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
    fake: FakeKubernetes | None = None
    plant: SimulatedPlant | None = None
    url: str = ""


def pool(target: dict[str, object], provider: str = "kubernetes") -> PoolRule:
    return PoolRule("chat-h100", PoolRole.DEFAULT, provider, target, 0, 9)


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


async def test_kubernetes_a_write_in_between_is_a_conflict(tmp_path, monkeypatch):
    async with kubernetes(tmp_path, monkeypatch) as made:
        made.fake.write_in_between = True
        with pytest.raises(Conflict):
            await made.provider.set_replicas(6, key="a")
        assert (await made.provider.read()).desired == 2


PODS = ("chat-7f-a", "chat-7f-b", "chat-7f-c", "chat-7f-d")


@contextlib.asynccontextmanager
async def with_pods(
    folder: Path, patch: pytest.MonkeyPatch, kind: str = "Deployment"
) -> AsyncIterator[tuple[KubernetesProvider, FakeKubernetes]]:
    """A provider of four pods; without a deletion cost the last of them goes first."""
    async with kubernetes(folder, patch, kind) as made:
        assert isinstance(made.provider, KubernetesProvider)
        assert made.fake is not None
        made.fake.replicas = made.fake.ready = len(PODS)
        made.fake.pods = {name: {} for name in PODS}
        yield made.provider, made.fake


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
async def test_kubernetes_lets_the_named_pods_go_first(kind, tmp_path, monkeypatch):
    async with with_pods(tmp_path, monkeypatch, kind) as (provider, fake):
        await provider.set_replicas(2, key="a", drain=("chat-7f-b", "chat-7f-a"))
        assert list(fake.pods) == ["chat-7f-c", "chat-7f-d"]


@pytest.mark.parametrize("kind", ["StatefulSet", "LeaderWorkerSet"])
async def test_kubernetes_marks_no_pod_where_the_highest_ordinal_goes(kind, tmp_path, monkeypatch):
    async with with_pods(tmp_path, monkeypatch, kind) as (provider, fake):
        await provider.set_replicas(3, key="a", drain=("chat-7f-b",))
        assert (fake.replicas, fake.patched) == (3, [])


async def test_kubernetes_patches_only_what_may_be_a_pod_of_the_object(tmp_path, monkeypatch):
    async with with_pods(tmp_path, monkeypatch) as (provider, fake):
        names = ("other-7f-a", "chat-7f-b/../x", "chat-7f-x", "chat-7f-B", "chat-7f-c")
        await provider.set_replicas(3, key="a", drain=names)
        assert sorted(fake.patched) == ["chat-7f-c", "chat-7f-x"]
        assert "chat-7f-c" not in fake.pods


async def test_kubernetes_scales_without_permission_for_pods_and_says_so_once(
    tmp_path, monkeypatch, caplog
):
    async with with_pods(tmp_path, monkeypatch) as (provider, fake):
        fake.pod_answer = 403
        await provider.set_replicas(2, key="a", drain=("chat-7f-b", "chat-7f-a"))
        await provider.set_replicas(1, key="b", drain=("chat-7f-b",))
        assert list(fake.pods) == ["chat-7f-a"], "its own choice, the newest first"
    (told,) = [record.getMessage() for record in caplog.records if "first" in record.getMessage()]
    assert "Deployment inference/chat" in told
    assert "grant patch on pods" in told


@pytest.mark.parametrize("code", [409, 429, 500])
async def test_kubernetes_scales_when_pods_cannot_be_marked(code, tmp_path, monkeypatch, caplog):
    async with with_pods(tmp_path, monkeypatch) as (provider, fake):
        fake.pod_answer = code
        await provider.set_replicas(3, key="a", drain=("chat-7f-a",))
        assert fake.replicas == 3
    assert any("chat-7f-a cannot be told to go first" in m for m in caplog.messages)


async def test_kubernetes_does_not_wait_long_for_marks(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("poolwright.actuation.providers.kubernetes.MARKING_S", 0.1)
    async with with_pods(tmp_path, monkeypatch) as (provider, fake):
        fake.pods_hang = True
        await provider.set_replicas(3, key="a", drain=("chat-7f-a",))
        assert fake.replicas == 3
    assert any("within 0.1 s" in m for m in caplog.messages)


def test_kubernetes_a_pod_marked_later_goes_before_one_left_over():
    earlier, later = deletion_cost(1_763_000_000.0), deletion_cost(1_763_000_060.0)
    assert -(2**31) <= int(later) < int(earlier) < 0


def test_kubernetes_names_of_pods_are_cut_where_the_object_has_a_long_name():
    long = "a" * 70
    assert is_pod_of(long, "a" * 58 + "x7k2p")
    assert not is_pod_of(long, "a" * 57 + "-x7k2p")
