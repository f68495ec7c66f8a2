"""The gcp_instance_group provider beyond the contract: states, stock-outs, who goes, tokens."""

import datetime as dt

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.fake_google import Instance, Refusal
from tests.contract.gcp_world import REFUSALS, World, world

from poolwright.actuation.provider import (
    Conflict,
    Invalid,
    NoCapacity,
    Throttled,
    Unreachable,
)
from poolwright.actuation.providers import gcp_instance_group

RESIZE = "compute.instanceGroupManagers.resize"
DELETE = "compute.instanceGroupManagers.deleteInstances"


@pytest.fixture
async def gcp(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as made:
        yield made


def names(gcp: World) -> list[str]:
    return [found.name for found in gcp.fake.instances if found.action != "DELETING"]


# --- what it counts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "counted"),
    [
        (Instance("a", "NONE", "RUNNING"), "ready"),
        (Instance("a", "REFRESHING", "RUNNING"), "ready"),
        (Instance("a", "NONE", "RUNNING", "HEALTHY"), "ready"),
        (Instance("a", "NONE", "RUNNING", "UNHEALTHY"), "starting"),
        (Instance("a", "NONE", "RUNNING", "UNKNOWN"), "starting"),
        (Instance("a", "VERIFYING", "RUNNING"), "starting"),
        (Instance("a", "CREATING"), "starting"),
        (Instance("a", "CREATING", "STAGING"), "starting"),
        (Instance("a", "RECREATING", "RUNNING"), "starting"),
        (Instance("a", "RESTARTING", "STOPPING"), "starting"),
        (Instance("a", "STARTING", "TERMINATED"), "starting"),
        (Instance("a", "RESUMING", "SUSPENDED"), "starting"),
        (Instance("a", "NONE", "TERMINATED"), "starting"),
        (Instance("a", "NONE", "REPAIRING"), "starting"),
    ],
    ids=str,
)
async def test_an_instance_counts_by_its_action_its_status_and_its_health(gcp, instance, counted):
    gcp.fake.instances, gcp.fake.size = [instance], 1
    report = await gcp.provider.read()
    found = {"ready": report.ready, "starting": report.starting, "leaving": report.terminating}
    assert found == {"ready": 0, "starting": 0, "leaving": 0} | {counted: 1}


@pytest.mark.parametrize("action", ["DELETING", "ABANDONING", "STOPPING", "SUSPENDING"])
async def test_an_instance_that_leaves_is_terminating(gcp, action):
    gcp.fake.instances.append(Instance("a", action, "RUNNING"))
    report = await gcp.provider.read()
    assert (report.desired, report.ready, report.starting, report.terminating) == (2, 2, 0, 1)


async def test_instances_on_standby_are_none_of_the_pools(gcp):
    gcp.fake.instances.append(Instance("a", "NONE", "TERMINATED", target="STOPPED"))
    report = await gcp.provider.read()
    assert (report.desired, report.ready, report.starting, report.terminating) == (2, 2, 0, 0)


async def test_instances_that_are_not_listed_yet_are_on_their_way(gcp):
    gcp.fake.size = 5
    report = await gcp.provider.read()
    assert (report.desired, report.ready, report.starting) == (5, 2, 3)


async def test_instances_of_all_pages_count(gcp):
    gcp.fake.resize(7)
    gcp.fake.settle()
    gcp.fake.page_size = 3
    assert (await gcp.provider.read()).ready == 7
    assert gcp.fake.seen.count("compute.instanceGroupManagers.listManagedInstances") == 3


# --- what keeps them from coming ------------------------------------------------------------

STOCKOUT = ("ZONE_RESOURCE_POOL_EXHAUSTED", "The zone does not have enough resources available")


async def test_short_is_what_the_last_attempt_met(gcp):
    gcp.fake.resize(3)
    code, message = STOCKOUT
    gcp.fake.instances[-1].errors = [{"code": code, "message": message}]
    report = await gcp.provider.read()
    assert report.short == f"{code}: {message}"
    assert (report.ready, report.starting) == (2, 1)


async def test_short_is_the_newest_error_of_the_group_where_no_attempt_says_it(gcp):
    gcp.fake.resize(3)
    now = dt.datetime.now(dt.UTC)
    gcp.fake.fail("QUOTA_EXCEEDED", "Quota exceeded", at=now)
    for seconds in range(1, 4):
        gcp.fake.fail(*STOCKOUT, at=now - dt.timedelta(seconds=seconds))
    gcp.fake.page_size = 2
    assert (await gcp.provider.read()).short == "QUOTA_EXCEEDED: Quota exceeded"


async def test_an_error_from_before_the_order_or_of_long_ago_is_no_shortage(gcp):
    gcp.fake.fail(*STOCKOUT, at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5))
    gcp.fake.fail(*STOCKOUT, at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=2))
    await gcp.provider.set_replicas(3, key="a")
    assert (await gcp.provider.read()).short == ""
    gcp.fake.fail(*STOCKOUT)
    assert "EXHAUSTED" in (await gcp.provider.read()).short


async def test_what_keeps_an_instance_from_leaving_is_no_shortage(gcp):
    gcp.fake.resize(3)
    gcp.fake.fail("RESOURCE_IN_USE", "The disk is in use", action="DELETING")
    assert (await gcp.provider.read()).short == ""


async def test_nothing_is_short_while_all_serve(gcp):
    gcp.fake.fail(*STOCKOUT)
    assert (await gcp.provider.read()).short == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("QUOTA_EXCEEDED", NoCapacity),
        ("ZONE_RESOURCE_POOL_EXHAUSTED", NoCapacity),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", NoCapacity),
        ("IP_SPACE_EXHAUSTED", NoCapacity),
        ("RESOURCE_NOT_READY", Conflict),
        ("INVALID_FIELD_VALUE", Invalid),
    ],
)
async def test_an_operation_that_fails_says_why(gcp, code, kind):
    gcp.fake.operation_errors = [{"code": code, "message": "said Google"}]
    with pytest.raises(kind, match=f"{code}: said Google"):
        await gcp.provider.set_replicas(5, key="a")


async def test_an_operation_that_is_done_at_once_is_not_asked_for(gcp):
    gcp.fake.done_at_once = True
    await gcp.provider.set_replicas(5, key="a")
    assert "compute.zoneOperations.wait" not in gcp.fake.seen


def of_waiting(request: bytes) -> bool:
    return b"/wait" in request


@pytest.mark.parametrize(
    "fault",
    [Fault(FaultKind.STATUS, of_waiting, 403), Fault(FaultKind.HALF_OPEN, of_waiting)],
    ids=["forbidden", "silent"],
)
async def test_an_order_whose_operation_cannot_be_heard_of_was_taken(gcp, fault, monkeypatch):
    monkeypatch.setattr(gcp_instance_group, "SCHEDULING_S", 0.1)
    gcp.proxy.fault = fault
    await gcp.provider.set_replicas(5, key="a")
    assert gcp.proxy.struck.is_set()
    assert gcp.fake.size == 5


async def test_the_api_says_how_long_to_wait(gcp):
    refusal = Refusal(429, "rateLimitExceeded", "Too many", {"retry-after": "7"})
    gcp.fake.refusals = [refusal, REFUSALS[Throttled]]
    for _ in range(2):
        with pytest.raises(Throttled):
            await gcp.provider.set_replicas(5, key="a")


# --- one order, once ------------------------------------------------------------------------


async def test_a_write_between_the_read_and_the_order_is_a_conflict(gcp):
    await gcp.provider.read()
    gcp.fake.resize(6)
    with pytest.raises(Conflict, match="was 2, is 6"):
        await gcp.provider.set_replicas(4, key="a")
    assert gcp.fake.size == 6
    assert RESIZE not in gcp.fake.seen


async def test_the_same_order_again_has_no_effect(gcp):
    await gcp.provider.set_replicas(5, key="a")
    gcp.fake.resize(3)
    await gcp.provider.set_replicas(5, key="a")
    assert gcp.fake.size == 3
    await gcp.provider.set_replicas(5, key="b")
    assert gcp.fake.size == 5


# --- who goes -------------------------------------------------------------------------------


async def test_those_that_are_named_go_and_no_other(gcp):
    await gcp.provider.set_replicas(5, key="a")
    gcp.fake.settle()
    first, second, *others = names(gcp)
    await gcp.provider.set_replicas(3, key="b", drain=(second, first))
    assert gcp.fake.size == 3
    assert names(gcp) == others
    assert gcp.fake.seen.count(DELETE) == 1


async def test_where_too_few_are_named_the_group_chooses(gcp):
    await gcp.provider.set_replicas(5, key="a")
    await gcp.provider.set_replicas(3, key="b", drain=(names(gcp)[0], "nobody"))
    assert gcp.fake.size == 3
    assert DELETE not in gcp.fake.seen


async def test_the_group_of_a_region_lets_the_named_ones_go_too(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch, "regions/us-central1") as gcp:
        first, second = names(gcp)
        await gcp.provider.set_replicas(1, key="a", drain=(first,))
        assert (gcp.fake.size, names(gcp)) == (1, [second])


async def test_a_deletion_whose_reply_is_lost_is_made_once(gcp):
    await gcp.provider.set_replicas(5, key="a")
    first, second, *others = names(gcp)
    gcp.proxy.fault = Fault(FaultKind.LOSE_REPLY, only=lambda r: b"/deleteInstances" in r)
    with pytest.raises(Unreachable):
        await gcp.provider.set_replicas(3, key="b", drain=(first, second))
    gcp.proxy.heal()
    await gcp.provider.set_replicas(3, key="b", drain=(first, second))
    assert gcp.fake.seen.count(DELETE) == 1
    assert gcp.fake.size == 3
    assert names(gcp) == others


async def test_who_is_leaving_already_is_not_named_again(gcp):
    await gcp.provider.set_replicas(5, key="a")
    first, second, third, *others = names(gcp)
    await gcp.provider.set_replicas(3, key="b", drain=(first, second))
    await gcp.provider.set_replicas(2, key="c", drain=(first,))
    assert gcp.fake.size == 2
    assert names(gcp) == [third, others[0]]
    assert gcp.fake.seen.count(DELETE) == 1


async def test_one_that_left_meanwhile_leaves_the_choice_to_the_group(gcp):
    await gcp.provider.set_replicas(5, key="a")
    gcp.fake.settle()
    first, second, *_ = names(gcp)

    def recreate() -> None:
        gcp.fake.instances[0].action = "DELETING"

    gcp.fake.before_writing = recreate
    await gcp.provider.set_replicas(3, key="b", drain=(first, second))
    assert gcp.fake.size == 3
    assert gcp.fake.seen[-2:] == [RESIZE, "compute.zoneOperations.wait"]


async def test_a_write_just_before_the_deletion_is_told_as_a_conflict(gcp):
    await gcp.provider.set_replicas(5, key="a")
    gcp.fake.settle()
    first, second, *_ = names(gcp)
    gcp.fake.before_writing = lambda: gcp.fake.resize(7)
    with pytest.raises(Conflict, match="is 5, not 3"):
        await gcp.provider.set_replicas(3, key="b", drain=(first, second))
