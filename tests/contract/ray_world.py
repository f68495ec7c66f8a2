"""A RayCluster with two groups of workers in a namespace of a real API server, without KubeRay."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testenv.fault_proxy import FaultProxy, fault_proxy
from testenv.ports import HOST
from tests.contract.harness import rule
from tests.contract.real_kubernetes import PAGE, Cluster, cluster, documented_rules
from tests.contract.test_kubernetes_custom import define, pod

from poolwright.actuation.providers.kuberay import KubeRayProvider
from poolwright.settings import Settings

LABELS = {"ray.io/cluster": "chat", "ray.io/group": "gpu"}
TEMPLATE: dict[str, Any] = {"spec": {"containers": []}}


@dataclass
class Ray:
    """Two workers of the group `gpu` are ready."""

    cluster: Cluster
    provider: KubeRayProvider
    proxy: FaultProxy
    path: str
    token: str
    pods: int = 0

    async def object(self) -> dict[str, Any]:
        return await self.cluster.ask("GET", self.path)

    async def told(self) -> int:
        (group,) = [g for g in (await self.object())["spec"]["workerGroupSpecs"]
                    if g["groupName"] == "gpu"]  # fmt: skip
        return int(group["replicas"])

    async def change(self, **group: Any) -> None:
        """Somebody else writes into the group."""
        found = await self.object()
        found["spec"]["workerGroupSpecs"][1].update(group)
        await self.cluster.ask("PUT", self.path, found)

    async def set_count(self, count: int) -> None:
        await self.change(replicas=count)

    async def settle(self, count: int) -> None:
        """What KubeRay would do: pods for the workers that lack; the kubelet has them ready."""
        while self.pods < count:
            await pod(self.cluster, f"worker-{self.pods}", LABELS)
            self.pods += 1
        await self.cluster.kubelet.until(ready=count)


@contextlib.asynccontextmanager
async def ray(
    folder: Path, patch: pytest.MonkeyPatch, target: dict[str, object] | None = None
) -> AsyncIterator[Ray]:
    async with cluster() as made, contextlib.AsyncExitStack() as stack:
        plane = made.plane
        await define(made, "ray.io", "RayCluster", "rayclusters", None)
        path = f"/apis/ray.io/v1/namespaces/{made.namespace}/rayclusters"
        await made.until(path, lambda _: True)
        groups = [
            {"groupName": "cpu", "replicas": 1, "minReplicas": 1, "template": TEMPLATE},
            {
                "groupName": "gpu",
                "replicas": 2,
                "minReplicas": 0,
                "maxReplicas": 9,
                "numOfHosts": 1,
                "template": TEMPLATE,
            },
        ]
        body = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {"name": "chat"},
            "spec": {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": groups},
        }
        await made.ask("POST", path, body)
        token = await made.account("poolwright", documented_rules(PAGE.parent / "kuberay.md"))
        proxy = await stack.enter_async_context(
            fault_proxy(HOST, plane.port, serve_tls=plane.serving_tls(), dial_tls=plane.tls())
        )
        (folder / "kubeconfig").write_text(json.dumps(plane.config(token, proxy.url)))
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        asked = {"namespace": made.namespace, "cluster": "chat", "group": "gpu", **(target or {})}
        provider = KubeRayProvider(rule("kuberay", asked), Settings())
        found = Ray(made, provider, proxy, f"{path}/chat", token)
        await found.settle(2)
        try:
            yield found
        finally:
            await provider.close()
