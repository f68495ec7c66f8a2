"""The described files of rules/apis/, against servers that behave as they describe."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.harness import rule
from tests.contract.harnesses.http import SECRET, described, wse_settings
from tests.contract.harnesses.http__nomad import TOKEN
from tests.contract.imitated_nomad import ImitatedNomad
from tests.contract.simulated_plant import served
from tests.contract.wse_cloud import KEY_ID, SYSTEM, WseCloud

from poolwright.actuation.provider import Conflict, Gone, NoCapacity, Throttled, Unauthorised
from poolwright.actuation.providers.http import HttpProvider

Wse = tuple[HttpProvider, WseCloud]
Nomad = tuple[HttpProvider, ImitatedNomad]


@pytest.fixture
async def wse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wse]:
    monkeypatch.setenv("WSE_CLOUD_KEY_ID", KEY_ID)
    cloud = WseCloud(SECRET)
    async with served(cloud.app()) as url:
        target = {"ref": "wse-cloud", "system": SYSTEM}
        provider = HttpProvider(rule("http", target), wse_settings(tmp_path, url))
        yield provider, cloud
        await provider.close()


@contextlib.asynccontextmanager
async def nomad_provider(
    folder: Path, nomad: ImitatedNomad, **target: str
) -> AsyncIterator[HttpProvider]:
    async with served(nomad.app()) as url:
        settings = described(folder, "nomad.yaml", ("http://127.0.0.1:4646", url))
        whole = {"ref": "nomad", "job": nomad.job, "group": nomad.group, **target}
        provider = HttpProvider(rule("http", whole), settings)
        yield provider
        await provider.close()


@pytest.fixture
async def nomad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nomad]:
    monkeypatch.setenv("NOMAD_TOKEN", TOKEN)
    imitated = ImitatedNomad(TOKEN)
    async with nomad_provider(tmp_path, imitated) as provider:
        yield provider, imitated


# --- the leased wafer-scale system ---------------------------------------------------------


async def test_wse_one_order_however_often_it_comes(wse: Wse):
    provider, cloud = wse
    for _ in range(3):
        await provider.set_replicas(4, key="decision-1")
    assert len(cloud.orders) == 1
    assert cloud.made == 4
    assert cloud.version == 2


async def test_wse_a_system_comes_and_serves(wse: Wse):
    provider, cloud = wse
    await provider.set_replicas(4, key="a")
    report = await provider.read()
    assert (report.desired, report.ready, report.starting, report.terminating) == (4, 2, 2, 0)
    cloud.replicas[2]["state"] = "loading"
    assert (await provider.read()).starting == 2
    cloud.serve_all()
    assert (await provider.read()).ready == 4


async def test_wse_what_is_given_back_is_paid_for_until_its_lease_ends(wse: Wse):
    provider, cloud = wse
    await provider.set_replicas(1, key="a", drain=("wse-1",))
    report = await provider.read()
    assert (report.desired, report.ready, report.terminating) == (1, 1, 1)
    assert [r["name"] for r in cloud.replicas if r["state"] == "leaving"] == ["wse-1"]
    # One that is wanted again before that goes on with its lease: no second system is ordered.
    await provider.set_replicas(2, key="b")
    assert (await provider.read()).ready == 2
    assert cloud.made == 2
    await provider.set_replicas(0, key="c")
    cloud.end_leases()
    report = await provider.read()
    assert (report.desired, report.ready, report.terminating) == (0, 0, 0)


async def test_wse_a_partial_grant_says_how_many(wse: Wse):
    provider, cloud = wse
    cloud.stock = 3
    with pytest.raises(NoCapacity, match="3 of 6 replicas were granted") as caught:
        await provider.set_replicas(6, key="a")
    assert caught.value.granted == 3
    assert (await provider.read()).desired == 3


async def test_wse_out_of_stock_leaves_what_there_is(wse: Wse):
    provider, cloud = wse
    cloud.stock = 2
    with pytest.raises(NoCapacity, match="no systems are left in this region") as caught:
        await provider.set_replicas(3, key="a")
    assert caught.value.granted == 2
    assert cloud.ordered == 2
    # The same order is a new one when there is stock: a refusal was not kept under its key.
    cloud.stock = 9
    await provider.set_replicas(3, key="a")
    assert cloud.ordered == 3


async def test_wse_ordered_replicas_that_do_not_come_are_short_in_its_words(wse: Wse):
    provider, cloud = wse
    cloud.shortage = "two systems wait for a repair"
    assert (await provider.read()).short == "two systems wait for a repair"


async def test_wse_a_write_in_between_is_a_conflict(wse: Wse):
    provider, cloud = wse
    await provider.read()
    cloud.order(5, [])
    with pytest.raises(Conflict, match="not as you have seen it"):
        await provider.set_replicas(3, key="a")
    assert cloud.ordered == 5


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(402, "SPENDING_LIMIT", NoCapacity), (403, "SPENDING_LIMIT", NoCapacity),
     (403, "FORBIDDEN", Unauthorised), (429, "SLOW_DOWN", Throttled), (404, "NO_SYSTEM", Gone)],
)  # fmt: skip
async def test_wse_its_codes_have_their_meanings(wse: Wse, status, code, error):
    provider, cloud = wse
    cloud.refusals.append((status, {"error": {"code": code, "retry_after_s": 9}}))
    with pytest.raises(error) as caught:
        await provider.set_replicas(3, key="a")
    assert getattr(caught.value, "retry_after_s", 9) == 9


# --- Nomad ---------------------------------------------------------------------------------


async def test_nomad_running_allocations_are_ready(nomad: Nomad):
    provider, imitated = nomad
    await provider.set_replicas(5, key="decision-7")
    report = await provider.read()
    assert (report.desired, report.ready, report.starting) == (5, 2, 3)
    assert imitated.messages == ["poolwright decision-7"]


async def test_nomad_a_stopped_job_is_gone_though_it_answers(nomad: Nomad):
    provider, imitated = nomad
    imitated.stopped = True
    with pytest.raises(Gone):
        await provider.read()


async def test_nomad_a_deployment_on_its_way_takes_no_count(nomad: Nomad):
    provider, imitated = nomad
    imitated.deploying = True
    with pytest.raises(Conflict, match="active deployment"):
        await provider.set_replicas(5, key="a")
    imitated.deploying = False
    await provider.set_replicas(5, key="a")
    assert imitated.count == 5


async def test_nomad_a_token_that_is_not_known_is_told(nomad: Nomad):
    provider, imitated = nomad
    imitated.token = "another"
    with pytest.raises(Unauthorised, match="Permission denied"):
        await provider.inspect()


async def test_nomad_a_group_that_the_job_lacks_is_told_by_its_pointer(tmp_path, monkeypatch):
    monkeypatch.setenv("NOMAD_TOKEN", TOKEN)
    async with nomad_provider(tmp_path, ImitatedNomad(TOKEN), group="other/b") as provider:
        with pytest.raises(Exception, match=r"nothing at '/TaskGroups/other~1b/Desired'"):
            await provider.read()
