"""Stands in for a kubelet: pods that the scheduler has placed get ready, deleted ones end.

It speaks to the API server as a kubelet does (a node, the status of pods, their final deletion) and
runs nothing. What a pod does is told by `Kubelet.starts` and `ends`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2

NODE: Final = "node-1"
CAPACITY: Final = {"cpu": "64", "memory": "512Gi", "pods": "500", "nvidia.com/gpu": "8"}
STRATEGIC: Final = {"content-type": "application/strategic-merge-patch+json"}


class Kubelet:
    """Of one namespace's pods, by name in `pods` as last seen."""

    def __init__(self, client: httpx2.AsyncClient, namespace: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self.pods: dict[str, dict[str, Any]] = {}
        self.starts = True
        """Whether pods get ready."""
        self.ends = True
        """Whether deleted pods end, instead of using up their grace period."""
        self.watching = asyncio.Event()
        self.attending = asyncio.Lock()
        """Held while it asks: what ends it between two requests leaves no half-open connection."""
        self._seen = asyncio.Condition()

    async def run(self) -> None:
        # Version 0 is what the API server has in memory: the newest may keep it waiting for etcd.
        whatever = {"watch": "true", "resourceVersion": "0"}
        async with self._client.stream("GET", self._path, params=whatever, timeout=None) as answer:
            self.watching.set()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                pod = event["object"]
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {self._path} ended: {pod}")
                name = pod["metadata"]["name"]
                if event["type"] == "DELETED":
                    self.pods.pop(name, None)
                else:
                    self.pods[name] = pod
                    await self._attend(name, pod)
                async with self._seen:
                    self._seen.notify_all()

    async def let(self, *, starts: bool | None = None, ends: bool | None = None) -> None:
        """Change what pods do, those that wait included."""
        self.starts = self.starts if starts is None else starts
        self.ends = self.ends if ends is None else ends
        for name, pod in tuple(self.pods.items()):
            await self._attend(name, pod)

    def ready(self) -> list[str]:
        return sorted(
            name
            for name, pod in self.pods.items()
            if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
        )

    async def until(self, ready: int, existing: int | None = None) -> None:
        """Return when so many pods are ready, and so many exist."""
        async with asyncio.timeout(30), self._seen:
            await self._seen.wait_for(
                lambda: (
                    len(self.ready()) == ready
                    and len(self.pods) == (ready if existing is None else existing)
                )
            )

    async def _attend(self, name: str, pod: dict[str, Any]) -> None:
        async with self.attending:
            await self._act(name, pod)

    async def _act(self, name: str, pod: dict[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            if self.ends:
                await self._client.delete(f"{self._path}/{name}", params={"gracePeriodSeconds": 0})
        elif self.starts and "nodeName" in pod["spec"] and not is_ready(pod):
            conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
            status = {"phase": "Running", "conditions": conditions}
            await self._client.patch(
                f"{self._path}/{name}/status",
                content=json.dumps({"status": status}),
                headers=STRATEGIC,
            )


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def add_node(client: httpx2.AsyncClient) -> None:
    """A node that takes pods, with eight accelerators; once is enough."""
    made = await client.post(
        "/api/v1/nodes", json={"metadata": {"name": NODE}, "spec": {"podCIDR": "10.1.0.0/24"}}
    )
    if made.status_code == 409:
        return
    made.raise_for_status()
    status = {
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    # Admission taints a new node as not ready; who would take that away watches heartbeats.
    for path, change in (("/status", {"status": status}), ("", {"spec": {"taints": None}})):
        patched = await client.patch(
            f"/api/v1/nodes/{NODE}{path}",
            content=json.dumps(change),
            headers={"content-type": "application/merge-patch+json"},
        )
        patched.raise_for_status()


@contextlib.asynccontextmanager
async def kubelet(client: httpx2.AsyncClient, namespace: str) -> AsyncIterator[Kubelet]:
    """One at work until the block ends."""
    await add_node(client)
    one = Kubelet(client, namespace)
    task = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(10):
            await one.watching.wait()
        yield one
    finally:
        async with one.attending:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
