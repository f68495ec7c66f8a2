"""The kubernetes provider beyond the contract: kinds, states of replicas, orders and conflicts."""

import asyncio

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.real_kubernetes import scaled

from poolwright.actuation.calls import bounded
from poolwright.actuation.provider import Conflict, Gone, Unreachable


def writes(request: bytes) -> bool:
    return request.startswith(b"PUT ")


# --- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
async def test_scales_and_counts_each_kind(kind, tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, kind) as made:
        report = await made.provider.read()
        assert (report.desired, report.ready, report.starting, report.terminating) == (2, 2, 0, 0)
        await made.provider.set_replicas(3, key="a")
        await made.cluster.kubelet.until(ready=3)
        report = await made.report(lambda report: report.ready == 3)
        assert (report.desired, report.starting, report.terminating, report.short) == (3, 0, 0, "")


async def test_a_missing_object_is_gone(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, target={"name": "nobody"}) as made:
        with pytest.raises(Gone, match="correct the target"):
            await made.provider.read()
        with pytest.raises(Gone):
            await made.provider.set_replicas(3, key="a")


# --- states of replicas --------------------------------------------------------------------


async def test_pods_that_are_not_ready_are_starting(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.cluster.kubelet.let(starts=False)
        await made.provider.set_replicas(5, key="a")
        await made.cluster.kubelet.until(ready=2, existing=5)
        report = await made.provider.read()
        assert (report.desired, report.ready, report.starting, report.terminating) == (5, 2, 3, 0)
        assert report.short == "", "nobody lacks a node"
        await made.cluster.kubelet.let(starts=True)
        report = await made.report(lambda report: report.ready == 5)
        assert report.starting == 0


async def test_a_deleted_pod_is_terminating_after_it_left_the_status(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.cluster.kubelet.let(ends=False)
        await made.provider.set_replicas(1, key="a")
        report = await made.report(lambda report: report.terminating == 1)
        assert (report.desired, report.ready, report.starting) == (1, 1, 0)
        await made.cluster.until(made.path, lambda found: found["status"]["replicas"] == 1)
        await made.watching()
        report = await made.provider.read()
        assert (report.ready, report.terminating) == (1, 1), "it still runs, and holds its GPU"
        await made.cluster.kubelet.let(ends=True)
        report = await made.report(lambda report: report.terminating == 0)
        assert report.ready == 1


async def test_a_pod_that_no_node_takes_is_told_in_the_schedulers_words(tmp_path, monkeypatch):
    gpus = {"nvidia.com/gpu": "5"}
    at_once = {"await_nodes": "0s"}
    async with scaled(tmp_path, monkeypatch, ready=1, resources=gpus, target=at_once) as made:
        report = await made.report(lambda report: report.short != "")
        assert report.short.startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu")
        assert (report.desired, report.ready, report.starting) == (2, 1, 1)


def has_unschedulable(pods) -> bool:
    conditions = [one for pod in pods["items"] for one in pod["status"].get("conditions", ())]
    return any(one.get("reason") == "Unschedulable" for one in conditions)


async def test_a_node_that_is_awaited_is_no_shortage_yet(tmp_path, monkeypatch):
    gpus = {"nvidia.com/gpu": "5"}
    patient = {"await_nodes": "10m"}
    async with scaled(tmp_path, monkeypatch, ready=1, resources=gpus, target=patient) as made:
        await made.cluster.until(made.cluster.core("pods"), has_unschedulable)
        report = await made.provider.read()
        assert (report.starting, report.short) == (1, "")


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
async def test_an_exceeded_quota_is_told_in_its_own_words(kind, tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, kind) as made:
        quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "3"}}}
        await made.cluster.ask("POST", made.cluster.core("resourcequotas"), quota)
        path = made.cluster.core("resourcequotas", "few")
        await made.cluster.until(path, lambda found: found.get("status", {}).get("used"))
        await made.provider.set_replicas(5, key="a")
        report = await made.report(lambda report: report.short != "")
        assert "exceeded quota: few" in report.short
        report = await made.report(lambda report: report.ready == 3)
        assert (report.desired, report.starting) == (5, 2)


async def test_status_tells_where_pods_may_not_be_seen_and_it_is_said_once(
    tmp_path, monkeypatch, caplog
):
    resources = ["deployments", "deployments/scale"]
    rules = [{"apiGroups": ["apps"], "resources": resources, "verbs": ["*"]}]
    async with scaled(tmp_path, monkeypatch, rules=rules) as made:
        for _ in range(3):
            report = await made.provider.read()
            assert (report.desired, report.ready, report.starting) == (2, 2, 0)
        await made.provider.set_replicas(4, key="a")
        report = await made.report(lambda report: report.ready == 4)
        assert (report.desired, report.terminating) == (4, 0)
        report = await made.watching()
        assert report.ready == 4, "the object is watched all the same"
    (told,) = [message for message in caplog.messages if "pods cannot be seen" in message]
    assert 'cannot list resource "pods"' in told


# --- orders --------------------------------------------------------------------------------


async def test_a_count_that_nobody_told_is_a_conflict_and_stays(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.provider.read()
        await made.cluster.set_count(made.path, 7)
        with pytest.raises(Conflict, match="7 replicas, not 2"):
            await made.provider.set_replicas(5, key="a")
        assert await made.cluster.count(made.path) == 7
        await made.report(lambda report: report.desired == 7)
        await made.provider.set_replicas(5, key="a")
        assert await made.cluster.count(made.path) == 5


async def test_a_count_that_is_the_wanted_one_already_is_no_conflict(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.provider.read()
        await made.cluster.set_count(made.path, 5)
        await made.provider.set_replicas(5, key="a")
        assert made.proxy.count(writes) == 0


async def write_meanwhile(made, body) -> None:
    """Somebody writes the object while the provider's write is on its way."""
    made.proxy.struck.clear()
    made.proxy.fault = Fault(FaultKind.DELAY, only=writes, seconds=0.5)
    ordering = asyncio.create_task(made.provider.set_replicas(5, key="a"))
    await made.proxy.struck.wait()
    made.proxy.heal()
    await made.cluster.ask("PATCH", made.path, body)
    await ordering


async def test_a_count_that_changed_between_look_and_write_is_a_conflict(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        with pytest.raises(Conflict, match="9 replicas"):
            await write_meanwhile(made, {"spec": {"replicas": 9}})
        assert await made.cluster.count(made.path) == 9


async def test_a_write_that_left_the_count_alone_is_none(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await write_meanwhile(made, {"metadata": {"annotations": {"by": "its controller"}}})
        assert await made.cluster.count(made.path) == 5
        assert made.proxy.count(writes) == 2, "the first was refused, and the object looked at anew"


async def test_after_a_lost_reply_the_object_itself_is_asked(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.watching()
        made.proxy.fault = Fault(FaultKind.LOSE_REPLY, only=writes)
        with pytest.raises(Unreachable):
            await made.provider.set_replicas(5, key="a")
        made.proxy.heal()
        before = len(made.proxy.requests)
        assert (await made.provider.read()).desired == 5
        assert len(made.proxy.requests) > before


async def test_an_own_order_is_seen_at_once(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.cluster.kubelet.let(starts=False)
        await made.watching()
        for count in (3, 1, 4, 2, 5, 0, 2):
            await made.provider.set_replicas(count, key=str(count))
            assert (await made.provider.read()).desired == count


async def test_a_server_that_takes_long_is_cut_off_and_then_well(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        made.proxy.fault = Fault(FaultKind.HALF_OPEN)
        with pytest.raises(Unreachable):
            await bounded(made.provider.read(), 0.5)
        made.proxy.heal()
        assert (await made.provider.read()).ready == 2
