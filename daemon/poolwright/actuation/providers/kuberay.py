"""A worker group of a RayCluster: its count stands in a list of the object, which no scale names.

The object is written as it was read, with its resource version, but for that count. What KubeRay
writes into the object's status conflicts with it, too: then the count is looked at anew.
"""

from collections.abc import Sequence
from typing import Any, Final

from poolwright.actuation.bounds import refuse_outside
from poolwright.actuation.kubernetes.api import Api, Json
from poolwright.actuation.kubernetes.following import Place
from poolwright.actuation.kubernetes.inspecting import Right, lacking
from poolwright.actuation.kubernetes.pods import counted, pod_of, why_unplaced
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import Conflict, Finding, Gone, Invalid, Level, Unreachable
from poolwright.actuation.targets.kuberay import KubeRayTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

WRITES: Final = 3
"""So often a count is written when only the object's status was written in between."""
UNBOUNDED: Final = 2**31 - 1


class KubeRayProvider:
    """One worker group, of workers that are one pod each."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        target = KubeRayTarget.of(pool)
        self._pool = pool
        self._target = target
        self._clock = SystemClock()
        self._place = Place(
            group="ray.io",
            version="v1",
            plural="rayclusters",
            kind="RayCluster",
            namespace=target.namespace,
            name=target.cluster,
            usual=False,
            pods=f"ray.io/cluster={target.cluster},ray.io/group={target.group}",
        )
        self._where = f"worker group {target.group} of {self._place}"
        self._api = Api(target.context, self._where, self._clock)
        self._last = LastRead(self._where)

    async def read(self) -> PoolReport:
        group = self._group(await self._api.get(self._place.path))
        desired = _bounded(group)
        self._last.read(desired)
        found = await self._api.get(self._place.pods_path, labelSelector=self._place.pods)
        try:
            pods = [pod_of(raw) for raw in found["items"]]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(
                f"{self._where}: its pods cannot be read ({error!r}); check what stands between"
            ) from error
        now = self._clock.now()
        counts = counted(pods, desired, size=1)
        return PoolReport(
            self._pool.name,
            now,
            desired,
            counts.ready,
            starting=desired - counts.ready,
            terminating=counts.terminating,
            short=why_unplaced(pods, now - self._target.await_nodes),
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  absolute counts; KubeRay chooses which workers go
        for left in reversed(range(WRITES)):
            cluster = await self._api.get(self._place.path)
            group = self._group(cluster)
            found = _bounded(group)
            if found == count:
                return
            self._last.check(found)
            least, most = _bounds(group)
            refuse_outside(self._where, count, ("minReplicas", least), ("maxReplicas", most))
            group["replicas"] = count
            try:
                await self._api.put(self._place.path, cluster)
            except Conflict:
                if not left:
                    raise
                self._last.read(found)
            else:
                return

    async def inspect(self) -> Sequence[Finding]:
        rights = (
            Right("ray.io", "rayclusters", ("get", "update"), "it cannot be scaled", required=True),
            Right("", "pods", ("list",), "it cannot be counted", required=True, named=False),
        )
        if findings := await lacking(self._api, self._place, rights):
            return findings
        cluster = await self._api.get(self._place.path)
        least, most = _bounds(self._group(cluster))
        findings = [Finding(Level.OK, f"{self._where} may be read and scaled")]
        if self._pool.min_replicas < least or self._pool.max_replicas > most:
            findings.append(
                Finding(
                    Level.WARNING,
                    f"the pool's {self._pool.min_replicas} to {self._pool.max_replicas} replicas go"
                    f" beyond the group's minReplicas {least} and maxReplicas {most}",
                    "change the one or the other: KubeRay keeps to its own",
                )
            )
        if cluster["spec"].get("enableInTreeAutoscaling"):
            what = "Ray's own autoscaler sets the count, too: each undoes what the other does"
            remedy = "set spec.enableInTreeAutoscaling of the RayCluster to false"
            findings.append(Finding(Level.PROBLEM, what, remedy))
        owners = cluster["metadata"].get("ownerReferences") or ()
        if service := next((o["name"] for o in owners if o["kind"] == "RayService"), None):
            what = (
                f"the RayCluster belongs to the RayService {service}, which replaces it by one of"
                f" another name, with its own count, when it is upgraded"
            )
            remedy = "correct the target then, and keep the count in the RayService, too"
            findings.append(Finding(Level.WARNING, what, remedy))
        return findings

    async def close(self) -> None:
        await self._api.close()

    def _group(self, cluster: Json) -> dict[str, Any]:
        """The group's own part of the object."""
        try:
            groups = {one["groupName"]: one for one in cluster["spec"].get("workerGroupSpecs", ())}
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreachable(
                f"{self._where}: the answer is no RayCluster ({error!r}); check what stands between"
            ) from error
        group: dict[str, Any] | None = groups.get(self._target.group)
        if group is None:
            names = ", ".join(groups) or "none"
            raise Gone(f"{self._where}: there is no such group; there are: {names}")
        if group.get("numOfHosts", 1) != 1:
            raise Invalid(
                f"{self._where}: a worker is {group['numOfHosts']} pods (numOfHosts), which cannot"
                f" be counted; choose a group of single hosts"
            )
        return group


def _bounds(group: dict[str, Any]) -> tuple[int, int]:
    """A group that is suspended has no workers, whatever its count."""
    if group.get("suspend"):
        return 0, 0
    return group.get("minReplicas") or 0, group.get("maxReplicas", UNBOUNDED)


def _bounded(group: dict[str, Any]) -> int:
    """The count as KubeRay takes it: within the group's own bounds."""
    least, most = _bounds(group)
    return int(min(max(group.get("replicas") or 0, least), most))
