"""Who goes first when a Deployment shrinks: shown by the real ReplicaSet controller."""

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract.real_kubernetes import documented_rules, scaled

from poolwright.actuation.kubernetes.marking import deletion_cost, is_pod_of


def marks(request: bytes) -> bool:
    return request.startswith(b"PATCH ")


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
async def test_the_named_pods_go_first(kind, tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, kind, replicas=6) as made:
        pods = made.cluster.kubelet.ready()
        for kept in (pods[::2], pods[:1]):
            there = made.cluster.kubelet.ready()
            going = [name for name in there if name not in kept]
            await made.provider.set_replicas(len(kept), key=str(len(kept)), drain=going)
            await made.cluster.kubelet.until(ready=len(kept))
            assert made.cluster.kubelet.ready() == kept


async def test_no_pod_is_marked_where_the_highest_ordinal_goes(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "StatefulSet") as made:
        await made.provider.set_replicas(1, key="a", drain=("chat-0",))
        await made.cluster.kubelet.until(ready=1)
        assert made.cluster.kubelet.ready() == ["chat-0"]
        assert made.proxy.count(marks) == 0


async def test_only_what_may_be_a_pod_of_the_object_is_patched(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, replicas=3) as made:
        mine = made.cluster.kubelet.ready()[0]
        names = ("other-7f-a", f"{mine}/../x", "chat-7f-x", "chat-7f-B", mine)
        await made.provider.set_replicas(2, key="a", drain=names)
        patched = sorted(
            request.split()[1].rpartition(b"/")[2].decode()
            for request in made.proxy.requests
            if marks(request)
        )
        assert patched == sorted(["chat-7f-x", mine])
        await made.cluster.kubelet.until(ready=2)
        assert mine not in made.cluster.kubelet.ready()


async def test_the_count_is_set_without_permission_for_pods_and_it_is_said_once(
    tmp_path, monkeypatch, caplog
):
    rules = [rule for rule in documented_rules() if rule["resources"] != ["pods"]]
    async with scaled(tmp_path, monkeypatch, replicas=4, rules=rules) as made:
        first, second, third, _ = made.cluster.kubelet.ready()
        await made.provider.set_replicas(2, key="a", drain=(first, second))
        await made.provider.set_replicas(1, key="b", drain=(third,))
        assert await made.cluster.count(made.path) == 1
    (told,) = [message for message in caplog.messages if "go first" in message]
    assert "grant patch on pods" in told


@pytest.mark.parametrize("status", [409, 429, 500])
async def test_the_count_is_set_when_pods_cannot_be_marked(status, tmp_path, monkeypatch, caplog):
    async with scaled(tmp_path, monkeypatch) as made:
        pod = made.cluster.kubelet.ready()[0]
        made.proxy.fault = Fault(FaultKind.STATUS, only=marks, status=status)
        await made.provider.set_replicas(1, key="a", drain=(pod,))
        assert await made.cluster.count(made.path) == 1
    assert any(f"{pod} cannot be told to go first" in message for message in caplog.messages)


async def test_the_count_does_not_wait_long_for_marks(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("poolwright.actuation.kubernetes.marking.MARKING_S", 0.1)
    async with scaled(tmp_path, monkeypatch) as made:
        made.proxy.fault = Fault(FaultKind.HALF_OPEN, only=marks)
        pods = made.cluster.kubelet.ready()
        await made.provider.set_replicas(1, key="a", drain=pods[:1])
        assert await made.cluster.count(made.path) == 1
    assert any("within 0.1 s" in message for message in caplog.messages)


def test_a_pod_marked_later_goes_before_one_left_over():
    earlier, later = deletion_cost(1_763_000_000.0), deletion_cost(1_763_000_060.0)
    assert -(2**31) <= int(later) < int(earlier) < 0


def test_names_of_pods_are_cut_where_the_object_has_a_long_name():
    long = "a" * 70
    assert is_pod_of(long, "a" * 58 + "x7k2p")
    assert not is_pod_of(long, "a" * 57 + "-x7k2p")
