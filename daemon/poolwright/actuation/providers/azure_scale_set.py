"""An Azure virtual machine scale set, uniform or flexible, by the REST API of Resource Manager.

The capacity of the set's SKU is what is written, with the set's etag as the precondition. Azure
takes an order and goes about it afterwards: what became of it is asked at each read while replicas
are missing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from poolwright.actuation.azure.findings import SETS, allowed, autoscaler, targets
from poolwright.actuation.azure.instances import failure, sorted_out
from poolwright.actuation.azure.login import azure_login
from poolwright.actuation.azure.meanings import HINTS, explain, told
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import CallError, Finding, Invalid, Level, NoCapacity
from poolwright.actuation.rest import Body, Rest
from poolwright.actuation.targets.azure_scale_set import AzureScaleSetTarget
from poolwright.actuation.tokens import Tokens
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

COMPUTE: Final = "2024-07-01"
"""Version of the API: scale sets have etags since 2023-09-01."""
PERMISSIONS: Final = "2022-04-01"
AUTOSCALE: Final = "2022-10-01"


class AzureScaleSetProvider:
    """One scale set. Credentials: the default chain of azure-identity."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        target = AzureScaleSetTarget.of(pool)
        self._pool = pool.name
        self._clock = SystemClock()
        self._where = f"scale set {target.resource_group}/{target.name}"
        self._group = f"/subscriptions/{target.subscription}/resourceGroups/{target.resource_group}"
        self._set = f"{self._group}/providers/{SETS}/{target.name}"
        self._tokens = Tokens(azure_login(f"{target.endpoint}/.default"), self._clock)
        self._arm = Rest(
            target.endpoint,
            self._tokens,
            self._clock,
            where=self._where,
            explain=explain,
            hints=HINTS,
        )
        self._last = LastRead(self._where)
        self._operation = ""
        """Where to ask what became of the last order; '' when that is known to be well."""

    async def read(self) -> PoolReport:
        last_order = self._operation
        scale_set = await self._get()
        capacity = self._capacity(scale_set)
        self._last.read(capacity)
        found = sorted_out(await self._instances(scale_set))
        failed = scale_set["properties"].get("provisioningState") == "Failed"
        # Azure makes up for none that are missing from a set that has failed.
        unlisted = 0 if failed else max(0, capacity - found.staying)
        short = ""
        if found.ready >= capacity:
            # An order may have come while this was read.
            self._operation = "" if self._operation == last_order else self._operation
        else:
            short = told(await self._outcome()) or found.failure
            if failed and not short:
                short = failure(await self._arm.get(f"{self._set}/instanceView", **_api(COMPUTE)))
        return PoolReport(
            self._pool,
            self._clock.now(),
            desired=capacity,
            ready=found.ready,
            starting=found.starting + unlisted,
            terminating=found.leaving,
            short=short,
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  absolute counts; the set's scale-in policy says who goes
        scale_set = await self._get()
        capacity = self._capacity(scale_set)
        if capacity == count:
            return
        self._last.check(capacity)
        reply = await self._arm.call(
            "PATCH",
            self._set,
            params=_api(COMPUTE),
            body={"sku": {**scale_set["sku"], "capacity": count}},
            headers={"if-match": _quoted(etag)} if (etag := scale_set.get("etag")) else {},
        )
        self._operation = reply.headers.get("azure-asyncoperation", "")
        await self._told_at_once(count)

    async def inspect(self) -> Sequence[Finding]:
        scale_set = await self._get()
        found = [await self._allowed(_is_flexible(scale_set)), *await self._autoscalers()]
        if any(tag.startswith("aks-managed") for tag in scale_set.get("tags") or ()):
            what = "the set belongs to a node pool of AKS, which sets its capacity"
            found.append(Finding(Level.WARNING, what, "scale the workload: `kubernetes`"))
        return found

    async def close(self) -> None:
        await self._arm.close()
        await self._tokens.close()

    async def _get(self) -> Body:
        return await self._arm.get(self._set, **_api(COMPUTE))

    def _capacity(self, scale_set: Body) -> int:
        capacity = (scale_set.get("sku") or {}).get("capacity")
        if not isinstance(capacity, int):
            raise Invalid(
                f"{self._where}: it has no capacity (sku.capacity), as a flexible set without a VM "
                f"profile; give it one, or correct the target"
            )
        return capacity

    async def _instances(self, scale_set: Body) -> list[Body]:
        params = _api(COMPUTE) | {"$expand": "instanceView"}
        if _is_flexible(scale_set):
            params["$filter"] = f"'virtualMachineScaleSet/id' eq '{self._set}'"
            vms = f"{self._group}/providers/Microsoft.Compute/virtualMachines"
            return await self._listed(vms, params)
        return await self._listed(f"{self._set}/virtualMachines", params)

    async def _listed(self, path: str, params: Mapping[str, str]) -> list[Body]:
        """Of all pages."""
        listed: list[Body] = []
        while path:
            body = (await self._arm.call("GET", path, params=params)).body
            listed += body.get("value", ())
            # The link of the next page has its parameters already.
            path, params = body.get("nextLink") or "", {}
        return listed

    async def _outcome(self) -> Body:
        """What became of the last order, if that is known and did not go well; else empty."""
        if not self._operation:
            return {}
        try:
            found = (await self._arm.call("GET", self._operation)).body
        except CallError:
            return {}
        if found.get("status") == "Succeeded":
            self._operation = ""
        return found if found.get("status") in {"Failed", "Canceled"} else {}

    async def _told_at_once(self, count: int) -> None:
        """An order that has failed by now and left the capacity as it was is refused."""
        if outcome := await self._outcome():
            capacity = self._capacity(await self._get())
            if capacity != count:
                said = f"{self._where}: {told(outcome)}"
                if isinstance(explain(0, outcome, said), NoCapacity):
                    raise NoCapacity(said, granted=capacity)
                raise Invalid(f"{said}; mend the scale set")

    async def _allowed(self, flexible: bool) -> Finding:
        path = f"{self._set}/providers/Microsoft.Authorization/permissions"
        try:
            roles = await self._listed(path, _api(PERMISSIONS))
        except CallError as error:
            what = f"what the credentials allow could not be asked: {error}"
            return Finding(Level.WARNING, what, "grant Microsoft.Authorization/permissions/read")
        return allowed(roles, flexible)

    async def _autoscalers(self) -> Sequence[Finding]:
        path = f"{self._group}/providers/Microsoft.Insights/autoscalesettings"
        try:
            settings = await self._listed(path, _api(AUTOSCALE))
        except CallError as error:
            what = f"whether Azure Monitor sets the capacity could not be asked: {error}"
            return [Finding(Level.WARNING, what, "grant Microsoft.Insights/autoscaleSettings/read")]
        return [autoscaler(found) for found in settings if targets(found, self._set)]


def _api(version: str) -> dict[str, str]:
    return {"api-version": version}


def _is_flexible(scale_set: Body) -> bool:
    return bool(scale_set["properties"].get("orchestrationMode") == "Flexible")


def _quoted(etag: str) -> str:
    """As headers want it: bodies have it with quotes or without."""
    return etag if etag.startswith(('"', 'W/"')) else f'"{etag}"'
