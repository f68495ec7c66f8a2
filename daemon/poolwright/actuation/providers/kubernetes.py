"""Any Kubernetes kind with a scale subresource: Deployment, StatefulSet, LeaderWorkerSet, custom.

The object itself says how many replicas are ready; its scale subresource is what is written, so
that the daemon's role needs `get` on the kind and `get`/`update` on `<kind>/scale`, nothing more.
"""

import os
from collections.abc import Awaitable
from typing import Any

from poolwright.actuation.provider import (
    CallError,
    Conflict,
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
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the kubernetes provider needs lightkube; pip install 'poolwright[kubernetes]'"
    ) from missing


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

    async def set_replicas(self, count: int, *, key: str) -> None:  # noqa: ARG002  absolute counts
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

    async def close(self) -> None:
        await self._client.close()

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
