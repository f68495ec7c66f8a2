"""A managed instance group of Google Compute Engine, zonal or regional, by its REST API.

The group's target size is what is written. The API has no precondition for it, so the size is read
just before, and another than was read last is a conflict. Replicas that are to go first are deleted
by name, where they are all that have to go: that lowers the size by exactly them.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from poolwright.actuation.google.instances import concerns_growth, is_wanted, sorted_out
from poolwright.actuation.google.login import google_login
from poolwright.actuation.google.meanings import HINTS, epoch_s, explain, refused, told
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import CallError, Conflict, Finding, Invalid, Level, Unreachable
from poolwright.actuation.rest import Body, Rest
from poolwright.actuation.targets.gcp_instance_group import GcpInstanceGroupTarget
from poolwright.actuation.tokens import Tokens
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
ORDERS: Final = uuid.UUID("6f1c0c9e-54d5-5f0e-9d0b-0f6f7a9a3c11")
"""Namespace of the request ids."""
SCHEDULING_S: Final = 4.0
"""How long an order waits to hear that the group has it: a part of the call's own limit."""
RECENT_S: Final = 600.0
"""An older error of the group says nothing of the replicas that are missing now."""
MOST_NAMED: Final = 1000
"""Instances that one request may name."""


class GcpInstanceGroupProvider:
    """One group. Credentials: Application Default Credentials."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = target = GcpInstanceGroupTarget.of(pool)
        self._pool = pool.name
        self._clock = SystemClock()
        self._tokens = Tokens(google_login(SCOPE), self._clock)
        self._where = f"instance group {target.project}/{target.place}/{target.name}"
        self._place = f"/projects/{target.project}/{target.place}"
        self._group = f"{self._place}/instanceGroupManagers/{target.name}"
        self._compute = self._rest(target.endpoint)
        self._permissions = self._rest(target.permissions_endpoint)
        self._last = LastRead(self._where)
        self._ordered_at = 0.0

    def _rest(self, endpoint: str) -> Rest:
        return Rest(
            endpoint, self._tokens, self._clock, where=self._where, explain=explain, hints=HINTS
        )

    async def read(self) -> PoolReport:
        size = await self._size()
        self._last.read(size)
        found = sorted_out(await self._listed("POST", "listManagedInstances", "managedInstances"))
        return PoolReport(
            self._pool,
            self._clock.now(),
            desired=size,
            ready=found.ready,
            # Those that are not even listed yet are on their way, too.
            starting=max(size, len(found.wanted)) - found.ready,
            terminating=found.leaving,
            short=await self._short(found.wanted) if found.ready < size else "",
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        size = await self._size()
        if size == count:
            return
        self._last.check(size)
        self._ordered_at = self._clock.now()
        if not await self._deletes(drain, size - count, key):
            await self._order("resize", key, {"size": str(count)})
        elif (size := await self._size()) != count:
            raise Conflict(f"{self._where}: its size is {size}, not {count}, once those were gone")

    async def inspect(self) -> Sequence[Finding]:
        group = await self._compute.get(self._group)
        found = [await self._allowed()]
        if link := group.get("status", {}).get("autoscaler"):
            found.append(await self._autoscaler(link.rpartition("/")[2]))
        if self._target.name.startswith("gke-"):
            what = "the group is called as those of GKE node pools, whose cluster sets their size"
            found.append(Finding(Level.WARNING, what, "scale the workload: `kubernetes`"))
        return found

    async def close(self) -> None:
        await self._compute.close()
        await self._permissions.close()
        await self._tokens.close()

    async def _size(self) -> int:
        size = (await self._compute.get(self._group)).get("targetSize")
        if not isinstance(size, int):
            raise Unreachable(f"{self._where}: no targetSize in the answer; see what answers there")
        return size

    async def _listed(self, method: str, call: str, items: str) -> list[Body]:
        """Of all pages."""
        listed: list[Body] = []
        params: Mapping[str, str] = {}
        while True:
            body = (await self._compute.call(method, f"{self._group}/{call}", params=params)).body
            listed += body.get(items, ())
            if not (token := body.get("nextPageToken")):
                return listed
            params = {"pageToken": token}

    async def _short(self, wanted: Sequence[Body]) -> str:
        """Google's words on instances that do not come; '' while they only take their time."""
        for found in wanted:
            if errors := found.get("lastAttempt", {}).get("errors", {}).get("errors"):
                return told(errors)
        since = max(self._ordered_at, self._clock.now() - RECENT_S)
        errors = filter(concerns_growth, await self._listed("GET", "listErrors", "items"))
        newest: Body = max(errors, key=_at, default={})
        return told([newest["error"]]) if _at(newest) >= since else ""

    async def _deletes(self, drain: Sequence[str], leaving: int, key: str) -> bool:
        """Whether it was these that had to go; if not, nobody went and the group may choose.

        A repeat lowers nothing: who is leaving already is not named, and a request that names one
        is refused as a whole.
        """
        if not drain:
            return False
        listed = await self._listed("POST", "listManagedInstances", "managedInstances")
        members = [found for found in listed if is_wanted(found) and found.get("instance")]
        named = [found["instance"] for found in members if found.get("name") in drain]
        if not 0 < len(named) == leaving <= MOST_NAMED:
            return False
        try:
            await self._order("deleteInstances", key, {}, {"instances": sorted(named)})
        except Invalid:
            return False
        return True

    async def _order(
        self, call: str, key: str, params: Mapping[str, str], body: Body | None = None
    ) -> None:
        """Once a `key`: Google knows a request that it has had by its id."""
        request_id = uuid.uuid5(ORDERS, f"{self._group} {call} {key} {params} {body}")
        params = {**params, "requestId": str(request_id)}
        path = f"{self._group}/{call}"
        operation = (await self._compute.call("POST", path, params=params, body=body)).body
        if operation.get("status") != "DONE":
            wait = f"{self._place}/operations/{operation.get('name')}/wait"
            try:
                async with asyncio.timeout(SCHEDULING_S):
                    operation = (await self._compute.call("POST", wait)).body
            except (CallError, TimeoutError):
                return  # The order was taken; what became of it, the next read tells.
        if error := refused(operation, f"{self._where}: {call}"):
            raise error

    async def _allowed(self) -> Finding:
        kind = "zone" if self._target.zone is not None else "region"
        needed = [
            "compute.instanceGroupManagers.get",
            "compute.instanceGroupManagers.update",
            f"compute.{kind}Operations.get",
        ]
        path = f"/projects/{self._target.project}:testIamPermissions"
        try:
            reply = await self._permissions.call("POST", path, body={"permissions": needed})
        except CallError as error:
            what = f"what the credentials allow could not be asked: {error}"
            return Finding(Level.WARNING, what, "allow the Cloud Resource Manager API")
        if lacking := sorted(set(needed) - set(reply.body.get("permissions", ()))):
            what = f"the credentials lack {', '.join(lacking)} on the project"
            return Finding(Level.PROBLEM, what, HINTS.unauthorised)
        return Finding(Level.OK, "the credentials may read and resize the group")

    async def _autoscaler(self, name: str) -> Finding:
        try:
            found = await self._compute.get(f"{self._place}/autoscalers/{name}")
            mode = found.get("autoscalingPolicy", {}).get("mode", "ON")
        except CallError:
            mode = "unknown"
        what = f"the autoscaler {name} is attached to the group (mode {mode})"
        if mode == "OFF":
            return Finding(Level.OK, what)
        return Finding(Level.PROBLEM, what, "delete it or set its mode to OFF: it sets the size")


def _at(error: Body) -> float:
    return epoch_s(error.get("timestamp", ""))
