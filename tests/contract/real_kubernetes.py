"""A namespace of a real control plane for one test, with the objects and roles that it needs."""

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML
from testenv.fault_proxy import FaultProxy, fault_proxy
from testenv.kubernetes.control_plane import ControlPlane, NotBuilt, running
from testenv.kubernetes.node import Kubelet, kubelet
from testenv.ports import HOST
from tests.contract.harness import rule

from poolwright.actuation.providers.kubernetes import KubernetesProvider
from poolwright.actuation.targets.kubernetes import KNOWN, KubernetesTarget
from poolwright.model.pool import PoolReport
from poolwright.settings import Settings

Json = dict[str, Any]

NAMESPACES = itertools.count(1)
PAGE = Path(__file__).parents[2] / "docs" / "providers" / "kubernetes.md"
LABELS = {"app": "chat"}
BUILT_IN = ("Deployment", "StatefulSet", "ReplicaSet")


def documented_rules(page: Path = PAGE) -> list[Json]:
    """The rules of the role that the docs say is enough."""
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    found = [one for block in blocks for one in YAML(typ="safe").load_all(block)]
    (role,) = [one for one in found if isinstance(one, dict) and one.get("kind") == "Role"]
    return [dict(rule) for rule in role["rules"]]


@dataclass
class Cluster:
    """One namespace, of the administrator."""

    plane: ControlPlane
    client: httpx2.AsyncClient
    namespace: str
    kubelet: Kubelet

    async def ask(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Json:
        headers = {"content-type": "application/json"}
        if method == "PATCH":
            headers["content-type"] = "application/merge-patch+json"
        answer = await self.client.request(
            method,
            path,
            content=None if body is None else json.dumps(body),
            headers=headers,
            **kwargs,
        )
        assert answer.is_success, answer.text
        found: Json = answer.json()
        return found

    def path(self, kind: str, name: str = "", version: str = "", plural: str = "") -> str:
        known = KNOWN.get(kind, ("", ""))
        root = f"/apis/{version or known[0]}/namespaces/{self.namespace}/{plural or known[1]}"
        return f"{root}/{name}" if name else root

    def core(self, plural: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    async def create(
        self, kind: str = "Deployment", replicas: int = 2, resources: Json | None = None
    ) -> None:
        """An object called `chat`, whose controller makes its pods."""
        container: Json = {"name": "main", "image": "nothing.invalid/runs-nothing"}
        if resources is not None:
            container["resources"] = {"limits": resources, "requests": resources}
        body = {
            "apiVersion": KNOWN[kind][0],
            "kind": kind,
            "metadata": {"name": "chat"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": LABELS},
                "template": {
                    "metadata": {"labels": LABELS},
                    "spec": {"terminationGracePeriodSeconds": 300, "containers": [container]},
                },
                **({"serviceName": "chat"} if kind == "StatefulSet" else {}),
            },
        }
        await self.ask("POST", self.path(kind), body)

    async def until(self, path: str, wanted: Callable[[Json], bool]) -> Json:
        """The first answer at the path that is as wanted."""
        async with asyncio.timeout(15):
            while not wanted(found := await self.ask("GET", path)):  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.02)
        return found

    async def count(self, path: str) -> int:
        scale = await self.ask("GET", f"{path}/scale")
        return int(scale["spec"].get("replicas", 0))

    async def set_count(self, path: str, count: int) -> None:
        await self.ask("PATCH", f"{path}/scale", {"spec": {"replicas": count}})

    async def account(self, name: str, rules: Sequence[Json]) -> str:
        """The token of a service account that may do what the rules say, and no more."""
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        await self.ask("POST", self.core("serviceaccounts"), {"metadata": {"name": name}})
        await self.ask("POST", f"{rbac}/roles", {"metadata": {"name": name}, "rules": list(rules)})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await self.ask("POST", f"{rbac}/rolebindings", binding)
        token = await self.token(name)
        if rules:
            await self.until_allowed(token, rules[-1])
        return token

    async def revoke(self, name: str, token: str) -> None:
        """The account may do nothing any more."""
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        role = await self.ask("GET", f"{rbac}/roles/{name}")
        await self.ask("DELETE", f"{rbac}/rolebindings/{name}")
        await self.until_allowed(token, role["rules"][-1], allowed=False)

    async def token(self, account: str) -> str:
        """Another one of the account."""
        spec = {"spec": {"expirationSeconds": 3600}}
        path = f"{self.core('serviceaccounts', account)}/token"
        found = await self.ask("POST", path, spec)
        return str(found["status"]["token"])

    async def until_allowed(self, token: str, rule: Json, *, allowed: bool = True) -> None:
        """The API server learns of roles a moment later."""

        async def allows() -> bool:
            answer = await client.post(path, json=review)
            return bool(answer.json()["status"]["allowed"])

        resource, _, subresource = rule["resources"][0].partition("/")
        attributes = {
            "namespace": self.namespace,
            "verb": rule["verbs"][0],
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "name": (rule.get("resourceNames") or [""])[0],
        }
        review = {"spec": {"resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        async with asyncio.timeout(10), self.plane.client(token) as client:
            while await allows() is not allowed:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.02)


def control_plane() -> ControlPlane:
    try:
        return running()
    except NotBuilt as error:
        pytest.skip(str(error))


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Skips where no control plane can be had, saying how to get it."""
    plane = control_plane()
    namespace = f"inference-{next(NAMESPACES)}"
    async with plane.client() as client, contextlib.AsyncExitStack() as stack:
        made = await client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})
        made.raise_for_status()
        node = await stack.enter_async_context(kubelet(client, namespace))
        one = Cluster(plane, client, namespace, node)
        try:
            yield one
        finally:
            # Without waiting: pods that hold the node's capacity go at once.
            await client.delete(f"/api/v1/namespaces/{namespace}")
            await client.delete(one.core("pods"), params={"gracePeriodSeconds": 0})


@dataclass
class Scaled:
    """An object called `chat` of a kind, and a provider for it that comes by way of a proxy."""

    cluster: Cluster
    provider: KubernetesProvider
    proxy: FaultProxy
    path: str
    token: str

    async def report(self, wanted: Callable[[PoolReport], bool]) -> PoolReport:
        """The first report that is as wanted."""
        async with asyncio.timeout(15):
            while not wanted(report := await self.provider.read()):  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.02)
        return report

    async def watching(self) -> PoolReport:
        """Returns when a look is answered by the watches alone."""
        async with asyncio.timeout(15):
            while True:
                before = len(self.proxy.requests)
                report = await self.provider.read()
                if len(self.proxy.requests) == before:
                    return report
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def scaled(
    folder: Path,
    patch: pytest.MonkeyPatch,
    kind: str = "Deployment",
    *,
    rules: Sequence[Json] | None = None,
    target: Mapping[str, object] | None = None,
    replicas: int = 2,
    ready: int | None = None,
    resources: Json | None = None,
) -> AsyncIterator[Scaled]:
    """Of the built-in kinds it is made, and waited for until as many as said are ready.

    Without `rules` the account may do everything in its namespace.
    """
    async with cluster() as made, contextlib.AsyncExitStack() as stack:
        plane = made.plane
        if kind in BUILT_IN:
            await made.create(kind, replicas, resources)
            await made.kubelet.until(replicas if ready is None else ready, replicas)
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        token = await made.account("poolwright", everything if rules is None else rules)
        proxy = await stack.enter_async_context(
            fault_proxy(HOST, plane.port, serve_tls=plane.serving_tls(), dial_tls=plane.tls())
        )
        (folder / "kubeconfig").write_text(json.dumps(plane.config(token, proxy.url)))
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        asked = {"kind": kind, "namespace": made.namespace, "name": "chat", **(target or {})}
        provider = KubernetesProvider(rule("kubernetes", asked), Settings())
        version, plural = KubernetesTarget.model_validate(asked).resource()
        path = made.path(kind, "chat", version, plural)
        try:
            yield Scaled(made, provider, proxy, path, token)
        finally:
            await provider.close()
