"""The azure_scale_set provider beyond the contract: states, stock-outs, preconditions, tokens."""

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.azure_world import world
from tests.contract.fake_azure import (
    Instance,
    Refusal,
    error,
)

from poolwright.actuation.provider import (
    Conflict,
    Invalid,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)

ALLOCATION = "Allocation failed. We do not have sufficient capacity for the requested VM size."


@pytest.fixture
async def azure(monkeypatch):
    async with world(monkeypatch) as made:
        yield made


# --- what it counts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "counted"),
    [
        (Instance(1, "Succeeded", "running"), "ready"),
        (Instance(1, "Updating", "running"), "ready"),
        (Instance(1, "Succeeded", "running", "healthy"), "ready"),
        (Instance(1, "Failed", "running", "healthy"), "ready"),
        (Instance(1, "Succeeded", "running", "unhealthy"), "starting"),
        (Instance(1, "Succeeded", "running", "unknown"), "starting"),
        (Instance(1, "Creating"), "starting"),
        (Instance(1, "Creating", "starting"), "starting"),
        (Instance(1, "Creating", "running"), "starting"),
        (Instance(1, "Updating", "starting"), "starting"),
        (Instance(1, "Deleting", "running"), "leaving"),
        (Instance(1, "Updating", "deallocating"), "leaving"),
        (Instance(1, "Succeeded", "stopping"), "leaving"),
        (Instance(1, "Failed"), None),
        (Instance(1, "Failed", "running"), None),
        (Instance(1, "Succeeded", "stopped"), None),
        (Instance(1, "Succeeded", "deallocated"), None),
    ],
    ids=str,
)
async def test_an_instance_counts_by_its_states_and_its_health(azure, instance, counted):
    azure.fake.instances, azure.fake.capacity = [instance], int(counted != "leaving")
    report = await azure.provider.read()
    found = {"ready": report.ready, "starting": report.starting, "leaving": report.terminating}
    assert found == {"ready": 0, "starting": 0, "leaving": 0} | ({counted: 1} if counted else {})


async def test_instances_that_are_not_listed_yet_are_on_their_way(azure):
    azure.fake.capacity = 5
    report = await azure.provider.read()
    assert (report.desired, report.ready, report.starting) == (5, 2, 3)


async def test_instances_of_all_pages_count(azure):
    azure.fake.resize(7)
    azure.fake.settle()
    azure.fake.page_size = 3
    assert (await azure.provider.read()).ready == 7
    assert azure.fake.seen.count("uniform") == 3


async def test_a_page_of_another_host_gets_no_token(azure):
    azure.fake.page_size = 1
    azure.fake.next_host = "elsewhere.example"
    with pytest.raises(Unreachable, match=r"elsewhere\.example, which is not asked"):
        await azure.provider.read()


async def test_a_set_without_a_capacity_cannot_be_scaled(azure):
    azure.fake.shown = {"sku": None}
    with pytest.raises(Invalid, match=r"sku\.capacity"):
        await azure.provider.read()


# --- what keeps them from coming ------------------------------------------------------------


async def test_short_is_why_the_order_failed_later(azure):
    await azure.provider.set_replicas(4, key="a")
    assert (await azure.provider.read()).short == ""
    inner = error("OverconstrainedAllocationRequest", ALLOCATION)
    outer = error("ResourceOperationFailure", "The resource operation completed", inner)
    azure.fake.outcome = {"status": "Failed", **outer}
    azure.fake.state = "Failed"
    azure.fake.instances = azure.fake.instances[:2]
    report = await azure.provider.read()
    assert report.short == f"OverconstrainedAllocationRequest: {ALLOCATION}"
    # Azure does not go on trying: nothing is on its way.
    assert (report.desired, report.ready, report.starting) == (4, 2, 0)


async def test_short_is_why_an_instance_failed(azure):
    azure.fake.resize(3)
    azure.fake.instances[-1] = Instance(9, "Failed", failure=("AllocationFailed", ALLOCATION))
    assert (await azure.provider.read()).short == f"AllocationFailed: {ALLOCATION}"


async def test_short_is_what_the_set_says_of_itself_after_a_restart(azure):
    azure.fake.capacity, azure.fake.state = 4, "Failed"
    code = "ProvisioningState/failed/SkuNotAvailable"
    azure.fake.view = [
        {"code": "ProvisioningState/updating", "level": "Info"},
        {"code": code, "level": "Error", "message": "The requested size is not available"},
    ]
    report = await azure.provider.read()
    assert report.short == "SkuNotAvailable: The requested size is not available"
    assert "view" in azure.fake.seen


async def test_an_order_that_went_well_is_not_asked_for_again(azure):
    await azure.provider.set_replicas(4, key="a")
    azure.fake.outcome = {"status": "Succeeded"}
    await azure.provider.read()
    asked = azure.fake.seen.count("operation")
    await azure.provider.read()
    assert azure.fake.seen.count("operation") == asked


async def test_a_failed_order_says_nothing_of_what_is_lost_once_all_have_served(azure):
    azure.fake.outcome = {"status": "Failed", **error("AllocationFailed", ALLOCATION)}
    await azure.provider.set_replicas(4, key="a")
    azure.fake.settle()
    assert (await azure.provider.read()).short == ""
    azure.fake.instances[-1].state, azure.fake.instances[-1].power = "Updating", "starting"
    assert (await azure.provider.read()).short == ""


@pytest.mark.parametrize("forgotten", [True, False], ids=["forgotten", "forbidden"])
async def test_an_order_that_nobody_can_tell_of_keeps_nothing_from_being_read(azure, forgotten):
    await azure.provider.set_replicas(4, key="a")
    if forgotten:
        azure.fake.outcome = None
    else:
        azure.proxy.fault = Fault(FaultKind.STATUS, lambda r: b"/operations/" in r, 403)
    report = await azure.provider.read()
    assert (report.desired, report.short) == (4, "")


@pytest.mark.parametrize(
    "code",
    [
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SkuNotAvailable",
        "QuotaExceeded",
        "ResourceQuotaExceeded",
    ],
)
async def test_out_of_stock_and_quota_are_told_at_once_where_azure_does(azure, code):
    azure.fake.refusals = [Refusal(409, error(code, "said Azure"))]
    with pytest.raises(NoCapacity, match=f"{code}: said Azure"):
        await azure.provider.set_replicas(4, key="a")
    azure.fake.refusals = [Refusal(400, error("Outer", "because", error(code, "said Azure")))]
    with pytest.raises(NoCapacity):
        await azure.provider.set_replicas(4, key="b")


@pytest.mark.parametrize(
    ("code", "kind"), [("AllocationFailed", NoCapacity), ("VMExtensionProvisioningError", Invalid)]
)
async def test_an_order_that_failed_at_once_and_left_the_capacity_is_refused(azure, code, kind):
    azure.fake.keeps_capacity = True
    azure.fake.outcome = {"status": "Failed", **error(code, "said Azure")}
    with pytest.raises(kind, match=f"{code}: said Azure") as caught:
        await azure.provider.set_replicas(4, key="a")
    assert getattr(caught.value, "granted", 2) == 2


async def test_an_order_that_failed_at_once_with_the_capacity_set_was_taken(azure):
    azure.fake.outcome = {"status": "Failed", **error("AllocationFailed", ALLOCATION)}
    await azure.provider.set_replicas(4, key="a")
    report = await azure.provider.read()
    assert (report.desired, report.short) == (4, f"AllocationFailed: {ALLOCATION}")


async def test_a_lock_is_not_waited_out(azure):
    azure.fake.refusals = [Refusal(409, error("ScopeLocked", "the scope is locked"))]
    with pytest.raises(Unauthorised, match="lock"):
        await azure.provider.set_replicas(4, key="a")


@pytest.mark.parametrize("status", [429, 503])
async def test_the_api_says_how_long_to_wait(azure, status):
    refusal = Refusal(status, error("TooManyRequests", "too many"), {"retry-after": "17"})
    azure.fake.refusals = [refusal]
    with pytest.raises(Throttled) as caught:
        await azure.provider.set_replicas(4, key="a")
    assert caught.value.retry_after_s == 17


# --- one order, once ------------------------------------------------------------------------


async def test_a_write_between_the_read_and_the_order_is_a_conflict(azure):
    await azure.provider.read()
    azure.fake.resize(6)
    with pytest.raises(Conflict, match="was 2, is 6"):
        await azure.provider.set_replicas(4, key="a")
    assert azure.fake.capacity == 6
    assert "update" not in azure.fake.seen


async def test_a_write_just_before_the_order_is_a_conflict_by_the_etag(azure):
    azure.fake.before_writing = lambda: azure.fake.resize(6)
    with pytest.raises(Conflict, match="somebody else"):
        await azure.provider.set_replicas(4, key="a")
    assert azure.fake.capacity == 6


async def test_a_set_without_an_etag_is_scaled_without_the_precondition(azure):
    azure.fake.etags = False
    await azure.provider.set_replicas(4, key="a")
    assert azure.fake.capacity == 4


async def test_the_size_of_the_machines_stays_what_it_is(azure):
    await azure.provider.set_replicas(4, key="a")
    (patch,) = (r for r in azure.proxy.requests if r.startswith(b"PATCH"))
    assert b'"name":"Standard_ND96isr_H100_v5"' in patch.replace(b" ", b"")
    assert b"properties" not in patch
