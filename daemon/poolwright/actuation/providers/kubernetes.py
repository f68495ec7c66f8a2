"""Any Kubernetes kind with a scale subresource: Deployment, StatefulSet, LeaderWorkerSet, custom.

The object itself says how many replicas are ready; its scale subresource is what is written, so
that the daemon's role needs `get` on the kind and `get`/`update` on `<kind>/scale`, nothing more.
With `patch` on pods it says which of them go first.
"""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Finding,
    Gone,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.targets.kubernetes import KubernetesTarget
from poolwright.clock import SystemClock
from poolwright.errors import SettingsError
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

try:
    import httpx2
    from lightkube import AsyncClient, KubeConfig
    from lightkube.core.exceptions import ConfigError
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.resources.core_v1 import Pod
    from lightkube.types import PatchType
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the kubernetes provider needs lightkube; pip install 'poolwright[kubernetes]'"
    ) from missing

log = logging.getLogger(__name__)

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation: of the ready pods of a ReplicaSet those with the lowest go first; 0 without it."""
CHOOSING: Final = frozenset({"Deployment", "ReplicaSet"})
"""Kinds that go by it; a StatefulSet and a LeaderWorkerSet always remove the highest ordinal."""
MARKING_S: Final = 3.0
"""How long a scale-down waits until its pods are marked: a part of the call's own time limit."""
POD_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
GENERATED: Final = 58
"""Of a longer name Kubernetes takes so much to generate the names of pods."""


class KubernetesProvider:
    """One scalable object. Credentials: the pod's own, else the kubeconfig (`context` chooses)."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        target = KubernetesTarget.of(pool)
        self._pool = pool.name
        self._name = target.name
        self._namespace = target.namespace
        self._clock = SystemClock()
        self._resource = _resource(target)
        self._where = f"{target.kind} {self._namespace}/{self._name}"
        self._chooses = target.kind in CHOOSING
        self._told_forbidden = False
        try:
            config = KubeConfig.from_env().get(context_name=target.context)
            if config is None:
                raise SettingsError(
                    f"no kubeconfig context {target.context!r}; correct `context` of the target"
                )
            self._client = AsyncClient(config=config, timeout=httpx2.Timeout(10.0))
        except (ConfigError, OSError) as error:
            raise SettingsError(
                f"no Kubernetes credentials: {error}. Run in a pod with a service account, or set "
                f"KUBECONFIG (now {os.environ.get('KUBECONFIG', 'unset')})"
            ) from error

    async def read(self) -> PoolReport:
        found = await self._ask(
            self._client.get(self._resource, self._name, namespace=self._namespace)
        )
        spec, status = found.get("spec") or {}, found.get("status") or {}
        desired = int(spec.get("replicas", 1))
        existing = int(status.get("replicas", 0))
        ready = int(status.get("readyReplicas", 0))
        return PoolReport(
            pool=self._pool,
            at=self._clock.now(),
            desired=desired,
            ready=min(ready, existing),
            starting=max(0, desired - ready),
            terminating=max(0, existing - desired),
        )

    async def set_replicas(
        self,
        count: int,
        *,
        key: str,  # noqa: ARG002  absolute counts
        drain: Sequence[str] = (),
    ) -> None:
        if drain and self._chooses:
            # Before the count is read: between read and write is where others' writes conflict.
            await self._mark(drain)
        scale = await self._ask(
            self._client.get(self._resource.Scale, self._name, namespace=self._namespace)
        )
        if scale.spec is not None and scale.spec.replicas == count:
            return
        # The object's resourceVersion goes back with the count: a write in between is a conflict.
        scale.spec.replicas = count
        await self._ask(
            self._client.replace(
                scale,
                self._name,
                namespace=self._namespace,
            )
        )

    async def inspect(self) -> Sequence[Finding]:
        return ()

    async def close(self) -> None:
        await self._client.close()

    async def _mark(self, drain: Sequence[str]) -> None:
        """Has these pods go first, as far as that can be had: the count does not wait for it."""
        cost = deletion_cost(self._clock.now())
        patch = {"metadata": {"annotations": {DELETION_COST: cost}}}
        pods = [name for name in drain if is_pod_of(self._name, name)]
        try:
            async with asyncio.timeout(MARKING_S):
                await asyncio.gather(*(self._mark_one(pod, patch) for pod in pods))
        except TimeoutError:
            log.warning(
                "%s: which pods go first could not be said within %g s; the count is set all the"
                " same and Kubernetes chooses",
                self._where,
                MARKING_S,
            )

    async def _mark_one(self, pod: str, patch: dict[str, Any]) -> None:
        try:
            await self._client.patch(
                Pod, pod, patch, namespace=self._namespace, patch_type=PatchType.MERGE
            )
        except httpx2.HTTPError as error:
            code = error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else None
            if code == 404:  # gone already, or telemetry calls its replicas otherwise
                return
            hint = "the count is set all the same and Kubernetes chooses"
            if code == 403:
                if self._told_forbidden:
                    return
                self._told_forbidden = True
                hint += "; grant patch on pods to have the least loaded go first (told once)"
            log.warning("%s: pod %s cannot be told to go first: %s; %s", self._where, pod, error,
                        hint)  # fmt: skip

    async def _ask(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except httpx2.HTTPStatusError as error:
            raise _meaning(error, self._where) from error
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"{self._where}: the Kubernetes API did not answer ({type(error).__name__}: "
                f"{error}); check the network and the API server"
            ) from error


def deletion_cost(at: float) -> str:
    """Minutes since 1970, negated: a pod marked now goes before one left over from earlier."""
    return str(-int(at // 60))


def is_pod_of(owner: str, name: str) -> bool:
    """Whether a replica of telemetry may be a pod of the object; nobody else's pod is touched."""
    return name.startswith(f"{owner}-"[:GENERATED]) and POD_NAME.fullmatch(name) is not None


def _resource(target: KubernetesTarget) -> Any:
    version, plural = target.resource()
    group, _, short = version.rpartition("/")
    # The same kind again yields the class that is registered already.
    return create_namespaced_resource(group, short, target.kind, plural)


def _meaning(error: httpx2.HTTPStatusError, where: str) -> CallError:
    code = error.response.status_code
    said = f"{where}: the Kubernetes API answered {code}: {error}"
    match code:
        case 401 | 403 if "exceeded quota" in str(error):
            return NoCapacity(f"{said}; raise the quota or the pool's max")
        case 401 | 403:
            return Unauthorised(f"{said}; grant get on the kind and get, update on its scale")
        case 404 | 410:
            return Gone(f"{said}; correct the target or create the object")
        case 409:
            return Conflict(f"{said}; somebody else wrote in between")
        case 429:
            asked = error.response.headers.get("Retry-After", "")
            return Throttled(said, retry_after_s=float(asked) if asked.isdigit() else None)
        case _:
            return Unreachable(f"{said}; see the API server's log")
