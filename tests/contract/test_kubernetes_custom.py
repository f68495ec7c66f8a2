"""Kinds that others define: by their scale alone, with or without pods, and groups of pods."""

import asyncio

import pytest
from tests.contract.real_kubernetes import Cluster, cluster, scaled

from poolwright.actuation.kubernetes.api import Api
from poolwright.actuation.kubernetes.following import seen_of
from poolwright.actuation.kubernetes.watched import Watched
from poolwright.actuation.provider import Invalid
from poolwright.clock import SystemClock

LWS = "leaderworkerset.sigs.k8s.io"
FLEET = {"apiVersion": "example.com/v1", "plural": "fleets"}


def definition(
    group: str, kind: str, plural: str, scale: dict[str, str] | None, served: str = "v1"
):
    """Without a scale subresource where `scale` is None."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": served,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": anything, "status": anything},
            }
        },
        "subresources": {"status": {}, **({} if scale is None else {"scale": scale})},
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
        },
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def define(made: Cluster, *one: object) -> None:
    """Once a control plane."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    body = definition(*one)
    answer = await made.client.post(path, json=body)
    assert answer.status_code in (201, 409), answer.text

    def established(found) -> bool:
        conditions = found.get("status", {}).get("conditions") or ()
        return any((c["type"], c["status"]) == ("Established", "True") for c in conditions)

    await made.until(f"{path}/{body['metadata']['name']}", established)


async def make(made: Cluster, path: str, kind: str, spec, status) -> None:
    collection, _, name = path.rpartition("/")
    group_version = "/".join(path.split("/")[2:4])
    body = {"apiVersion": group_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    # Its API is served a moment after it was established.
    await made.until(collection, lambda _: True)
    await made.ask("POST", collection, body)
    await made.ask("PATCH", f"{path}/status", {"status": status})


async def pod(made: Cluster, name: str, labels: dict[str, str]) -> None:
    spec = {"containers": [{"name": "main", "image": "nothing.invalid/runs-nothing"}]}
    body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    await made.ask("POST", made.core("pods"), body)


@pytest.fixture
async def defined():
    async with cluster() as made:
        paths = {
            "specReplicasPath": ".spec.workers",
            "statusReplicasPath": ".status.workers",
            "labelSelectorPath": ".status.selector",
        }
        await define(made, "example.com", "Fleet", "fleets", paths)
        paths = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.hpaPodSelector",
        }
        group = "leaderworkerset.x-k8s.io"
        await define(made, group, "LeaderWorkerSet", "leaderworkersets", paths)


@pytest.mark.usefixtures("defined")
async def test_a_custom_kind_is_counted_by_the_pods_that_its_scale_selects(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "Fleet", target=FLEET) as made:
        status = {"workers": 3, "selector": "fleet=chat"}
        await make(made.cluster, made.path, "Fleet", {"workers": 3}, status)
        for name in ("chat-a", "chat-b"):
            await pod(made.cluster, name, {"fleet": "chat"})
        await pod(made.cluster, "stranger", {"fleet": "other"})
        await made.cluster.kubelet.until(ready=3)
        report = await made.report(lambda report: report.ready == 2)
        assert (report.desired, report.starting, report.terminating) == (3, 1, 0)
        await made.watching()
        await made.provider.set_replicas(2, key="a")
        found = await made.cluster.ask("GET", made.path)
        assert found["spec"] == {"workers": 2}
        report = await made.provider.read()
        assert (report.desired, report.ready, report.starting) == (2, 2, 0)
        await made.cluster.set_count(made.path, 0)
        report = await made.report(lambda report: report.desired == 0)
        assert (report.ready, report.terminating) == (0, 2), "nobody has removed them yet"


@pytest.mark.usefixtures("defined")
async def test_a_custom_kind_without_a_selector_is_counted_by_its_status(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "Fleet", target=FLEET) as made:
        await make(made.cluster, made.path, "Fleet", {"workers": 3}, {"readyReplicas": 2})
        report = await made.provider.read()
        assert (report.desired, report.ready, report.starting) == (3, 2, 1)


@pytest.mark.usefixtures("defined")
async def test_what_cannot_be_known_is_no_zero(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "Fleet", target=FLEET) as made:
        await make(made.cluster, made.path, "Fleet", {"workers": 3}, {"replicas": 3})
        with pytest.raises(Invalid, match="how many replicas are ready cannot be known"):
            await made.provider.read()


@pytest.mark.usefixtures("defined")
async def test_a_group_of_pods_is_a_replica(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "LeaderWorkerSet") as made:
        spec = {"replicas": 3, "leaderWorkerTemplate": {"size": 2}}
        leaders = f"{LWS}/name=chat,{LWS}/worker-index=0"
        status = {"replicas": 3, "readyReplicas": 3, "hpaPodSelector": leaders}
        await make(made.cluster, made.path, "LeaderWorkerSet", spec, status)
        for group in "01":
            for worker, name in (("0", f"chat-{group}"), ("1", f"chat-{group}-1")):
                labels = {"name": "chat", "group-index": group, "worker-index": worker}
                await pod(made.cluster, name, {f"{LWS}/{key}": v for key, v in labels.items()})
        labels = {f"{LWS}/name": "chat", f"{LWS}/group-index": "2", f"{LWS}/worker-index": "0"}
        await pod(made.cluster, "chat-2", labels)
        await made.cluster.kubelet.until(ready=5)
        report = await made.report(lambda report: report.ready == 2)
        assert (report.desired, report.starting, report.terminating) == (3, 1, 0), (
            "one has no worker"
        )
        await made.cluster.kubelet.let(ends=False)
        await made.provider.set_replicas(2, key="a")
        await made.cluster.ask("DELETE", made.cluster.core("pods", "chat-2"))
        report = await made.report(lambda report: report.terminating == 1)
        assert (report.desired, report.ready, report.starting) == (2, 2, 0)


@pytest.mark.usefixtures("defined")
async def test_a_watch_that_fell_too_far_behind_lists_anew(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, "Fleet", target=FLEET) as made:
        await make(made.cluster, made.path, "Fleet", {"workers": 3}, {"readyReplicas": 2})
        clock = SystemClock()
        api = Api(None, "here", clock)
        one = Watched(api, made.path.rpartition("/")[0], seen_of, clock)
        # From before its kind was defined: the API server has no memory of it.
        one.version = "1"
        one.start()
        async with asyncio.timeout(15):
            while not (one.trusted() and one.items):  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.02)
        assert one.items["chat"].ready == 2
        lines = [request.split(b"\r\n", 1)[0] for request in made.proxy.requests]
        assert [b"watch=true" in line for line in lines] == [True, False, True]
        await one.close()
        await api.close()
