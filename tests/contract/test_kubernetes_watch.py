"""The watch of an object and its pods: when it answers, and how it gets over what breaks it."""

import asyncio
import json

import pytest
from testenv.fault_proxy import Fault, FaultKind, fault_proxy
from testenv.ports import HOST
from tests.contract.real_kubernetes import cluster, documented_rules, scaled

from poolwright.actuation.kubernetes import watched
from poolwright.actuation.kubernetes.api import Api
from poolwright.actuation.kubernetes.pods import pod_of
from poolwright.actuation.kubernetes.watched import Watched
from poolwright.clock import SystemClock


def watches(request: bytes) -> bool:
    return b"watch=true" in request.split(b"\r\n", 1)[0]


def lists_pods(request: bytes) -> bool:
    line = request.split(b"\r\n", 1)[0]
    return line.startswith(b"GET ") and b"/pods?" in line and not watches(request)


@pytest.fixture
async def pods(tmp_path, monkeypatch):
    """The watch of the two pods of a Deployment, not started, and the way to what it asks."""
    async with cluster() as made:
        plane = made.plane
        await made.create()
        await made.kubelet.until(ready=2)
        tls = {"serve_tls": plane.serving_tls(), "dial_tls": plane.tls()}
        async with fault_proxy(HOST, plane.port, **tls) as proxy:
            config = tmp_path / "kubeconfig"
            config.write_text(json.dumps(plane.config(plane.token, proxy.url)))
            monkeypatch.setenv("KUBECONFIG", str(config))
            clock = SystemClock()
            api = Api(None, "here", clock)
            one = Watched(api, made.core("pods"), pod_of, clock, labelSelector="app=chat")
            yield one, made, proxy
            await one.close()
            await api.close()


async def until(true) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.02)


async def test_a_look_costs_no_request_while_the_watch_is_well(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.watching()
        before = len(made.proxy.requests)
        for _ in range(100):
            assert (await made.provider.read()).ready == 2
        await made.cluster.set_count(made.path, 4)
        await made.report(lambda report: report.ready == 4)
        await made.cluster.set_count(made.path, 1)
        report = await made.report(lambda report: (report.ready, report.terminating) == (1, 0))
        assert report.desired == 1
        assert len(made.proxy.requests) == before


async def test_a_quiet_watch_is_confirmed_by_a_look_at_the_object(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        await made.watching()
        monkeypatch.setattr(watched, "TRUSTED_S", 0.0)
        before = len(made.proxy.requests)
        assert (await made.provider.read()).ready == 2
        assert len(made.proxy.requests) == before + 3, "object, scale and pods"
        monkeypatch.setattr(watched, "TRUSTED_S", 30.0)
        assert (await made.provider.read()).ready == 2
        assert len(made.proxy.requests) == before + 3


async def test_a_watch_that_swallows_is_no_answer(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        made.proxy.fault = Fault(FaultKind.HALF_OPEN, only=watches)
        for count in (3, 4):
            await made.cluster.set_count(made.path, count)
            assert (await made.provider.read()).desired == count
        await made.report(lambda report: report.ready == 4)


async def test_what_may_not_be_watched_is_asked_for_and_that_is_said_once(
    tmp_path, monkeypatch, caplog
):
    rules = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "watch"]}
        for rule in documented_rules()
    ]
    async with scaled(tmp_path, monkeypatch, rules=rules) as made:
        await made.provider.read()
        await until(lambda: made.proxy.count(watches) >= 2)
        for count in (3, 4, 5):
            await made.cluster.set_count(made.path, count)
            assert (await made.provider.read()).desired == count
        await made.report(lambda report: report.ready == 5)
        assert made.proxy.count(watches) == 2, "the role is not tried again at once"
    (told,) = [message for message in caplog.messages if "cannot be watched" in message]
    assert "cannot watch resource" in told


async def test_a_watch_that_ended_goes_on_from_where_it_was(pods, monkeypatch):
    one, made, proxy = pods
    monkeypatch.setattr(watched, "SESSION_S", "1")
    one.start()
    await until(lambda: proxy.count(watches) >= 3)
    await made.set_count(made.path("Deployment", "chat"), 3)
    await until(lambda: len(one.items) == 3 and all(pod.ready for pod in one.items.values()))
    assert proxy.count(lists_pods) == 1


EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


@pytest.mark.parametrize(
    ("status", "body"), [(410, EXPIRED), (200, {"type": "ERROR", "object": EXPIRED})]
)
async def test_a_watch_that_is_told_it_expired_lists_anew(pods, status, body):
    one, _, proxy = pods
    said = json.dumps(body).encode() + b"\n"
    proxy.fault = Fault(FaultKind.STATUS, only=watches, status=status, body=said)
    one.start()
    await proxy.struck.wait()
    proxy.heal()
    await until(lambda: one.trusted() and len(one.items) == 2)
    assert proxy.count(lists_pods) == 2


async def test_a_watch_that_fails_is_no_busy_loop_and_is_well_again(pods):
    one, _, proxy = pods
    proxy.fault = Fault(FaultKind.STATUS, only=watches, status=500)
    one.start()
    await until(lambda: proxy.count(watches) == 2)
    await asyncio.sleep(0.8)
    assert proxy.count(watches) == 2, "the next one is a second later"
    assert not one.trusted()
    proxy.heal()
    await until(one.trusted)
    assert len(one.items) == 2


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"items": [{}]}', b"{}"])
async def test_an_answer_that_is_no_list_does_not_end_the_watch(pods, body):
    one, _, proxy = pods
    proxy.fault = Fault(FaultKind.STATUS, status=200, body=body)
    one.start()
    await proxy.struck.wait()
    proxy.heal()
    await until(lambda: one.trusted() and len(one.items) == 2)


async def test_nothing_is_left_when_it_closes(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        before = asyncio.all_tasks()
        await made.watching()
        assert len(asyncio.all_tasks() - before) >= 2
        await made.provider.close()
        # The proxy's ends of the connections see it a moment later.
        await until(lambda: not asyncio.all_tasks() - before)


async def test_a_look_that_is_under_way_when_it_closes_begins_no_watch(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch) as made:
        before = asyncio.all_tasks()
        made.proxy.fault = Fault(FaultKind.DELAY, only=lists_pods, seconds=0.3)
        looking = asyncio.create_task(made.provider._following.look())
        await made.proxy.struck.wait()
        await made.provider._following.close()
        assert (await looking).desired == 2
        assert made.proxy.count(watches) == 0
        await made.provider.close()
        await until(lambda: not asyncio.all_tasks() - before)
