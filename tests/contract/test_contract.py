"""One contract for every provider, against the most real server of its API that runs here.

A provider's own harness is the module of its name in `tests/contract/harnesses`. Faults come from a
TCP proxy between provider and server, so that the client in use is the one that meets them.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.harness import POOL, Harness, load, names

from poolwright.actuation import providers
from poolwright.actuation.calls import bounded
from poolwright.actuation.executor import Executor
from poolwright.actuation.provider import CallError, Conflict, Gone, Level, Throttled, Unreachable
from poolwright.actuation.registry import installed, targets
from poolwright.clock import ScaledClock
from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason
from poolwright.model.pool import ActionReport, PoolReport
from poolwright.model.tick import Health
from poolwright.settings import Settings

PATIENCE_REAL_S = 3.0
"""Of one call against a server that does not answer: less than the daemon's, to be done sooner."""


@pytest.fixture(params=names())
async def harness(request, tmp_path, monkeypatch):
    async with load(request.param).harness(tmp_path, monkeypatch) as made:
        yield made


def with_proxy(harness: Harness):
    if harness.proxy is None:
        pytest.xfail("the provider speaks no network protocol: its faults are its own tests'")
    return harness.proxy


async def reads(harness: Harness, wanted: Callable[[PoolReport], bool]) -> PoolReport:
    """The first report that is as wanted: what a provider watches may be a moment behind."""
    async with asyncio.timeout(10):
        while not wanted(report := await harness.provider.read()):  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.02)
    return report


def test_every_installed_provider_has_a_harness():
    assert {name.partition("__")[0] for name in names()} >= set(installed())


def test_a_provider_is_small():
    """It holds its API and nothing else."""
    for module in Path(providers.__file__).parent.glob("*.py"):
        assert len(module.read_text().splitlines()) < 200, module.name


def test_every_installed_provider_says_what_it_needs():
    for name, target in targets().items():
        assert target is not None, name
        assert target.needs is not None, name


# --- counts --------------------------------------------------------------------------------


async def test_reads_what_was_set(harness: Harness):
    await harness.provider.set_replicas(5, key="a")
    report = await harness.provider.read()
    assert (report.pool, report.desired) == (POOL, 5)
    assert await harness.told() == 5


async def test_the_same_order_twice_is_one(harness: Harness):
    await harness.provider.set_replicas(3, key="a")
    await harness.provider.set_replicas(3, key="a")
    assert (await harness.provider.read()).desired == 3


async def test_goes_down_too(harness: Harness):
    await harness.provider.set_replicas(4, key="a")
    await harness.provider.set_replicas(1, key="b")
    assert (await harness.provider.read()).desired == 1
    assert await harness.told() == 1


async def test_goes_to_zero_and_back(harness: Harness):
    await harness.provider.set_replicas(0, key="a")
    assert (await harness.provider.read()).desired == 0
    await harness.provider.set_replicas(2, key="b")
    assert (await harness.provider.read()).desired == 2


async def test_names_of_who_goes_first_never_keep_the_count_from_being_set(harness: Harness):
    await harness.provider.set_replicas(5, key="a")
    names = ("chat-nobody", "", "10.0.0.7:8000", "../../secrets/chat-x")
    await harness.provider.set_replicas(3, key="b", drain=names)
    assert (await harness.provider.read()).desired == 3


async def test_sees_what_somebody_else_set(harness: Harness):
    await harness.provider.read()
    await harness.meddle(6)
    await reads(harness, lambda report: report.desired == 6)
    await harness.provider.set_replicas(4, key="a")
    assert await harness.told() == 4


async def test_an_order_rests_on_the_count_that_was_read(harness: Harness):
    if not harness.rests_on_its_read:
        pytest.xfail("its API knows no precondition, and orders without looking")
    await harness.provider.read()
    await harness.meddle(6)
    with pytest.raises(Conflict):
        await harness.provider.set_replicas(4, key="a")
    assert await harness.told() == 6
    await reads(harness, lambda report: report.desired == 6)
    await harness.provider.set_replicas(4, key="a")
    assert await harness.told() == 4


async def test_counts_replicas_that_got_ready(harness: Harness):
    if harness.settle is None:
        pytest.xfail("its server has no replicas that get ready")
    await harness.provider.set_replicas(4, key="a")
    await harness.settle(4)
    report = await reads(harness, lambda report: report.ready == 4)
    assert (report.desired, report.ready, report.starting, report.terminating) == (4, 4, 0, 0)


async def test_a_deleted_target_is_gone(harness: Harness):
    if harness.remove is None:
        pytest.xfail("its target cannot be deleted")
    await harness.provider.read()
    await harness.remove()
    with pytest.raises(Gone):
        await harness.provider.set_replicas(3, key="a")
    with pytest.raises(Gone):
        await reads(harness, lambda _: False)


async def test_a_look_at_a_healthy_target_finds_no_problem_and_changes_nothing(harness: Harness):
    findings = await harness.provider.inspect()
    assert [f for f in findings if f.level is Level.PROBLEM] == []
    assert await harness.told() == 2


# --- refusals and faults -------------------------------------------------------------------


async def test_a_refused_write_has_its_meaning_and_changes_nothing(harness: Harness):
    for error, refuse in harness.refusals.items():
        before = await harness.told()
        await refuse()
        with pytest.raises(error):
            await harness.provider.set_replicas(before + 2, key="a")
        assert await harness.told() == before


async def test_a_request_for_patience_says_how_long(harness: Harness):
    proxy = with_proxy(harness)
    proxy.fault = Fault(FaultKind.STATUS, status=429, retry_after="3")
    with pytest.raises(Throttled) as caught:
        await harness.provider.set_replicas(5, key="a")
    assert caught.value.retry_after_s == 3
    proxy.heal()
    await harness.provider.set_replicas(5, key="a")
    assert await harness.told() == 5


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET),
        Fault(FaultKind.HALF_OPEN),
        Fault(FaultKind.STATUS, status=500),
        Fault(FaultKind.TRUNCATE),
        Fault(FaultKind.LOSE_REPLY),
    ],
    ids=lambda fault: fault.kind.value,
)
async def test_what_is_no_answer_is_unreachable_and_the_next_call_is_well(harness: Harness, fault):
    proxy = with_proxy(harness)
    proxy.fault = fault
    with pytest.raises(Unreachable) as caught:
        await bounded(harness.provider.set_replicas(5, key="a"), PATIENCE_REAL_S)
    assert caught.value.ambiguous
    proxy.heal()
    await harness.provider.set_replicas(4, key="b")
    assert (await harness.provider.read()).desired == 4
    assert await harness.told() == 4


async def test_a_late_answer_is_an_answer(harness: Harness):
    proxy = with_proxy(harness)
    proxy.fault = Fault(FaultKind.DELAY, seconds=0.2)
    await harness.provider.set_replicas(5, key="a")
    assert await harness.told() == 5


# --- under the executor --------------------------------------------------------------------


async def carried_out(harness: Harness, desired: int, heal_after: float | None) -> list[str]:
    """The statuses of one action from 2 to `desired`, with their causes."""
    heard: list[ActionReport] = []
    ended = asyncio.Event()

    async def on_report(report: ActionReport, _: object) -> None:
        heard.append(report)
        if report.status != "started":
            ended.set()

    clock = ScaledClock(speed=4.0, origin_wall=0.0, origin_event=0.0)
    settings = Settings(action_deadline_s=80.0)
    executor = Executor({POOL: harness.provider}, clock, settings, on_report, lambda _: None)
    inputs = PoolInputs(0.0, "r", "s", POOL, None, (), Health())
    up = Outcome.SCALE_UP
    executor.submit(
        Decision("d", 0.0, "s", POOL, 2, desired, up, Reason.PROPOSED, (), (), {}, "r", inputs, b"")
    )
    if heal_after is not None and harness.proxy is not None:
        await harness.proxy.struck.wait()
        await asyncio.sleep(heal_after)
        harness.proxy.heal()
    async with asyncio.timeout(60):
        await ended.wait()
    with contextlib.suppress(CallError):
        await executor.stop(5.0)
    return [r.status.value + (f":{r.cause}" if r.cause else "") for r in heard]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET),
        Fault(FaultKind.STATUS, status=500),
        Fault(FaultKind.STATUS, status=429, retry_after="1"),
    ],
    ids=["reset", "500", "429"],
)
async def test_a_fault_that_passes_is_got_over(harness: Harness, fault):
    with_proxy(harness).fault = fault
    ends = await carried_out(harness, 5, heal_after=0.1)
    assert ends[:2] == ["started", "done"]
    assert await harness.told() == 5


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REPLY, FaultKind.TRUNCATE])
async def test_a_change_whose_reply_was_lost_is_made_once(harness: Harness, kind):
    proxy = with_proxy(harness)
    proxy.fault = Fault(kind, only=harness.writes)
    ends = await carried_out(harness, 5, heal_after=0.0)
    assert ends[:2] == ["started", "done"]
    assert await harness.told() == 5
    assert proxy.count(harness.writes) == 1


async def test_a_change_from_outside_is_never_overrun(harness: Harness):
    await harness.meddle(7)
    ends = await carried_out(harness, 5, heal_after=None)
    assert ends == ["started", "refused:changed_outside"]
    assert await harness.told() == 7
