"""Any Kubernetes kind with a scale subresource: Deployment, StatefulSet, LeaderWorkerSet, custom.

The scale subresource is what is written, with the resource version that it was read at. What the
object and its pods tell is watched (`kubernetes.following`).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from poolwright.actuation.kubernetes.api import Api, Json
from poolwright.actuation.kubernetes.following import Following, Look, Place
from poolwright.actuation.kubernetes.inspecting import inspect
from poolwright.actuation.kubernetes.marking import Marking
from poolwright.actuation.kubernetes.pods import Counts, counted, of_totals, why_unplaced
from poolwright.actuation.provider import Conflict, Finding, Invalid, Unreachable
from poolwright.actuation.targets.kubernetes import KubernetesTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

PAUSES_S: Final = (0.01, 0.05, 0.25, 1.0)
"""Before each further write where only the object's own controller wrote in between."""


class KubernetesProvider:
    """One scalable object."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        target = KubernetesTarget.of(pool)
        self._pool = pool.name
        self._await_nodes_s = target.await_nodes
        self._clock = SystemClock()
        self._place = _place(target)
        self._api = Api(target.context, str(self._place), self._clock)
        self._following = Following(self._api, self._place, self._clock)
        self._marking = Marking(self._api, self._place, self._clock)
        self._expected: set[int] = set()
        """What the count may be found at: as `read` told last, or as was ordered since."""

    async def read(self) -> PoolReport:
        look = await self._following.look()
        now = self._clock.now()
        counts = self._counts(look)
        self._expected = {look.desired}
        unplaced = why_unplaced(look.pods or (), now - self._await_nodes_s)
        return PoolReport(
            pool=self._pool,
            at=now,
            desired=look.desired,
            ready=counts.ready,
            starting=look.desired - counts.ready,
            terminating=counts.terminating,
            short="; ".join(filter(None, (unplaced, look.seen.failure))),
        )

    async def set_replicas(
        self,
        count: int,
        *,
        key: str,  # noqa: ARG002  absolute counts
        drain: Sequence[str] = (),
    ) -> None:
        if drain:
            # Before the count is read: between read and write is where others' writes conflict.
            await self._marking.go_first(drain)
        for pause_s in (*PAUSES_S, None):
            scale = await self._api.get(self._place.scale)
            found = self._count_of(scale)
            if found == count:
                return
            self._refuse_other_than_expected(found)
            scale["spec"]["replicas"] = count
            try:
                await self._put(scale, count)
            except Conflict:
                # The version that goes with the count is the object's: it conflicts with what the
                # object's own controller writes into its status, too. Nothing has been done; what
                # the count is now, is looked at anew.
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return

    def _refuse_other_than_expected(self, found: int) -> None:
        if self._expected and found not in self._expected:
            expected = " or ".join(map(str, sorted(self._expected)))
            raise Conflict(
                f"{self._place} has {found} replicas, not {expected} as when it was read: somebody "
                f"else wrote in between"
            )
        self._expected.add(found)

    async def _put(self, scale: Json, count: int) -> None:
        self._expected.add(count)
        self._following.writing()
        written = await self._api.put(self._place.scale, scale)
        self._following.wrote(str((written.get("metadata") or {}).get("resourceVersion", "")))

    async def inspect(self) -> Sequence[Finding]:
        return await inspect(self._api, self._place)

    async def close(self) -> None:
        await self._following.close()
        await self._api.close()

    def _counts(self, look: Look) -> Counts:
        if look.pods is not None:
            return counted(look.pods, look.desired, look.seen.size)
        ready = look.seen.ready
        if ready is None and (self._place.usual or look.seen.existing == 0):
            ready = 0
        if ready is None:
            raise Invalid(
                f"{self._place}: how many replicas are ready cannot be known: its status has no "
                f"readyReplicas, and its pods are not named by the scale's selector or may not be "
                f"seen; grant list and watch on pods, or choose a kind whose scale has a selector"
            )
        return of_totals(look.seen.existing, ready, look.desired)

    def _count_of(self, scale: Json) -> int:
        try:
            # Zero is left out of the scale's JSON.
            return int(scale["spec"].setdefault("replicas", 0))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreachable(
                f"{self._place}: the answer is no scale ({error!r}); check what stands between"
            ) from error


def _place(target: KubernetesTarget) -> Place:
    version, plural = target.resource()
    group, _, short = version.rpartition("/")
    return Place(
        group=group,
        version=short,
        plural=plural,
        kind=target.kind,
        namespace=target.namespace,
        name=target.name,
        usual=target.usual(),
        pods=target.pods_selector(),
    )
