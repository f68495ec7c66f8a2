"""Worker groups of a RayCluster on a real API server: what of the object is read and written."""

import pytest
from tests.contract.ray_world import ray
from tests.contract.real_kubernetes import Cluster

from poolwright.actuation.provider import Gone, Invalid, Level
from poolwright.actuation.targets.kuberay import KubeRayTarget


async def test_nothing_but_the_count_of_its_own_group_is_written(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        before = await made.object()
        await made.provider.set_replicas(5, key="a")
        after = await made.object()
        before["spec"]["workerGroupSpecs"][1]["replicas"] = 5
        assert after["spec"] == before["spec"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_workers_of_other_groups_are_not_counted(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch, {"group": "cpu"}) as made:
        report = await made.provider.read()
        assert (report.desired, report.ready, report.starting) == (1, 0, 1)


async def test_workers_beyond_the_count_and_those_that_end_are_terminating(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        await made.provider.set_replicas(1, key="a")
        report = await made.provider.read()
        assert (report.desired, report.ready, report.terminating) == (1, 1, 1)


async def test_a_worker_without_a_node_is_told_in_the_schedulers_words(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch, {"await_nodes": "0s"}) as made:
        await made.provider.set_replicas(3, key="a")
        labels = {"ray.io/cluster": "chat", "ray.io/group": "gpu"}
        limits = {"limits": {"nvidia.com/gpu": "99"}, "requests": {"nvidia.com/gpu": "99"}}
        container = {"name": "main", "image": "nothing.invalid/x", "resources": limits}
        body = {
            "metadata": {"name": "large", "labels": labels},
            "spec": {"containers": [container]},
        }
        await made.cluster.ask("POST", made.cluster.core("pods"), body)
        await made.cluster.until(made.cluster.core("pods", "large"), unplaced)
        report = await made.provider.read()
        assert report.short.startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu")
        assert (report.desired, report.ready, report.starting) == (3, 2, 1)


def unplaced(pod) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one.get("reason") == "Unschedulable" for one in conditions)


@pytest.mark.parametrize("count", [0, 10])
async def test_a_count_outside_the_groups_own_bounds_is_refused_before_the_call(
    count, tmp_path, monkeypatch
):
    async with ray(tmp_path, monkeypatch) as made:
        await made.change(minReplicas=1)
        with pytest.raises(Invalid, match="minReplicas 1 and maxReplicas 9"):
            await made.provider.set_replicas(count, key="a")
        assert await made.told() == 2


async def test_a_count_is_what_kuberay_takes_it_for(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        await made.change(replicas=4, maxReplicas=3)
        assert (await made.provider.read()).desired == 3
        await made.change(suspend=True)
        assert (await made.provider.read()).desired == 0


async def test_a_group_that_is_not_there_or_of_many_hosts_is_told(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch, {"group": "tpu"}) as made:
        with pytest.raises(Gone, match=r"no such group; there are: cpu, gpu"):
            await made.provider.read()
    async with ray(tmp_path, monkeypatch) as made:
        await made.change(numOfHosts=4)
        with pytest.raises(Invalid, match="4 pods"):
            await made.provider.read()


async def test_what_is_written_into_the_status_in_between_is_no_conflict(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        await made.provider.read()
        api = made.provider._api
        read, times = api.get, 0

        async def get(path: str, **params: str):
            nonlocal times
            found = await read(path, **params)
            times += 1
            if times == 1:
                await status(made.cluster, made.path)
            return found

        monkeypatch.setattr(api, "get", get)
        await made.provider.set_replicas(6, key="a")
        assert (await made.told(), times) == (6, 2)


async def status(cluster: Cluster, path: str) -> None:
    await cluster.ask("PATCH", f"{path}/status", {"status": {"desiredWorkerReplicas": 2}})


async def test_a_look_finds_who_else_sets_the_count(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        found = await made.object()
        found["spec"]["enableInTreeAutoscaling"] = True
        owner = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": "llm", "uid": "u"}
        found["metadata"]["ownerReferences"] = [owner]
        await made.cluster.ask("PUT", made.path, found)
        await made.change(maxReplicas=4)
        findings = await made.provider.inspect()
        told = {(one.level, one.what.partition(":")[0]) for one in findings}
        assert (Level.PROBLEM, "Ray's own autoscaler sets the count, too") in told
        assert any("RayService llm" in what for _, what in told)
        assert any("maxReplicas 4" in what for level, what in told if level is Level.WARNING)


async def test_a_look_names_the_rules_that_lack(tmp_path, monkeypatch):
    async with ray(tmp_path, monkeypatch) as made:
        await made.cluster.revoke("poolwright", made.token)
        findings = await made.provider.inspect()
        assert {one.level for one in findings} == {Level.PROBLEM}
        remedies = "\n".join(one.remedy for one in findings)
        assert "resources: [rayclusters], verbs: [get, update], resourceNames: [chat]" in remedies
        assert 'apiGroups: [""], resources: [pods], verbs: [list]' in remedies


def test_two_groups_of_a_cluster_are_two_targets():
    one, other = (
        KubeRayTarget(namespace="n", cluster="c", group=group).identity("s", "p")
        for group in ("gpu", "tpu")
    )
    assert one != other
