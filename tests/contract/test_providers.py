"""One contract for every provider: a harness gives the provider and a way to make its API fail."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.fake_kubernetes import FakeKubernetes

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Provider,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.kubernetes import KubernetesProvider
from poolwright.actuation.registry import find_factory
from poolwright.errors import SettingsError
from poolwright.model.rule import PoolRole, PoolRule
from poolwright.settings import Settings


@dataclass
class Harness:
    provider: Provider
    fail_next_write: Callable[[type[CallError]], None]
    fake: FakeKubernetes | None = None


def pool(target: dict[str, object]) -> PoolRule:
    return PoolRule("chat-h100", PoolRole.DEFAULT, "kubernetes", target, 0, 9)


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


PROVIDERS = {"kubernetes": kubernetes}
"""Add a provider's harness here, and the whole contract holds for it."""


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


@pytest.mark.parametrize("error", [Conflict, Throttled, Unauthorised, Unreachable, Gone])
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


def test_an_unknown_provider_is_told_which_there_are():
    with pytest.raises(SettingsError, match="nebula"):
        find_factory("nebula")


async def test_kubernetes_a_write_in_between_is_a_conflict(tmp_path, monkeypatch):
    async with kubernetes(tmp_path, monkeypatch) as made:
        made.fake.write_in_between = True
        with pytest.raises(Conflict):
            await made.provider.set_replicas(6, key="a")
        assert (await made.provider.read()).desired == 2
