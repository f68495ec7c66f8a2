"""Says which pods go first when a ReplicaSet shrinks: the annotation pod-deletion-cost."""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Final

from poolwright.actuation.kubernetes.api import Api
from poolwright.actuation.kubernetes.following import Place
from poolwright.actuation.provider import CallError, Gone, Unauthorised
from poolwright.clock import Clock

log = logging.getLogger(__name__)

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Of the ready pods of a ReplicaSet those with the lowest go first; 0 without it."""
CHOOSING: Final = frozenset({"Deployment", "ReplicaSet"})
"""Kinds that go by it; a StatefulSet and a LeaderWorkerSet always remove the highest ordinal."""
MARKING_S: Final = 3.0
"""How long a scale-down waits until its pods are marked: a part of the call's own time limit."""
POD_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
GENERATED: Final = 58
"""Of a longer name Kubernetes takes so much to generate the names of pods."""


class Marking:
    """A wish that never keeps a count from being set: what goes wrong is logged."""

    def __init__(self, api: Api, place: Place, clock: Clock) -> None:
        self._api = api
        self._place = place
        self._clock = clock
        self._told_forbidden = False

    async def go_first(self, names: Sequence[str]) -> None:
        """Mark those of the names that may be pods of the object, where its kind goes by it."""
        if self._place.kind not in CHOOSING:
            return
        cost = deletion_cost(self._clock.now())
        pods = [name for name in names if is_pod_of(self._place.name, name)]
        try:
            async with asyncio.timeout(MARKING_S):
                await asyncio.gather(*(self._mark(pod, cost) for pod in pods))
        except TimeoutError:
            log.warning(
                "%s: which pods go first could not be said within %g s; the count is set all the"
                " same and Kubernetes chooses",
                self._place,
                MARKING_S,
            )

    async def _mark(self, pod: str, cost: str) -> None:
        hint = "the count is set all the same and Kubernetes chooses"
        try:
            await self._api.merge(
                f"{self._place.pods_path}/{pod}",
                {"metadata": {"annotations": {DELETION_COST: cost}}},
            )
        except Gone:  # already, or telemetry calls its replicas otherwise
            return
        except Unauthorised as error:
            if not self._told_forbidden:
                self._told_forbidden = True
                log.warning(
                    "%s: pod %s cannot be told to go first: %s; %s; grant patch on pods to have"
                    " the least loaded go first (told once)",
                    self._place,
                    pod,
                    error,
                    hint,
                )
        except CallError as error:
            log.warning(
                "%s: pod %s cannot be told to go first: %s; %s", self._place, pod, error, hint
            )


def deletion_cost(at: float) -> str:
    """Minutes since 1970, negated: a pod marked now goes before one left over from earlier."""
    return str(-int(at // 60))


def is_pod_of(owner: str, name: str) -> bool:
    """Whether a replica of telemetry may be a pod of the object; nobody else's pod is touched."""
    return name.startswith(f"{owner}-"[:GENERATED]) and POD_NAME.fullmatch(name) is not None
