"""Auto Scaling groups: the desired capacity is the count, the group's own states are the replicas.

The API has no precondition: a write between the look before an order and the order is overrun. With
`manages_protection` a scale-down first leaves exactly those instances unprotected that are to go
and protects the others: both are absolute, so a repeat after a crash or a lost reply changes
nothing, and a count that was never set leaves every instance running.
"""

from collections.abc import Sequence
from typing import Final

from poolwright.actuation.aws.client import Aws
from poolwright.actuation.aws.groups import (
    SERVICE,
    Changes,
    GroupAnswer,
    counted,
    described,
    hindrances,
    outside_bounds,
    weight,
    why_short,
)
from poolwright.actuation.aws.permissions import permissions
from poolwright.actuation.bounds import refuse_outside
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import Finding, Level
from poolwright.actuation.targets.aws_autoscaling import AwsAutoScalingTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

AT_ONCE: Final = 50
"""Instances that one SetInstanceProtection takes."""
EKS_TAG: Final = "eks:nodegroup-name"


class AwsAutoScalingProvider:
    """One group of one region."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = AwsAutoScalingTarget.of(pool)
        self._pool = pool
        self._aws = Aws(self._target, f"Auto Scaling group {self._target.group}")
        self._clock = SystemClock()
        self._changes = Changes()
        self._last = LastRead(self._aws.where)

    async def read(self) -> PoolReport:
        at = self._clock.now()
        group = await self._group()
        desired, has = group["DesiredCapacity"], counted([group])
        self._last.read(desired)
        since = self._changes.saw(desired, at)
        return PoolReport(
            pool=self._pool.name,
            at=at,
            desired=desired,
            ready=has.in_service,
            starting=max(has.coming, desired - has.in_service),
            terminating=has.leaving,
            short=await why_short(self._aws, group, since) if has.held < desired else "",
        )

    async def set_replicas(
        self,
        count: int,
        *,
        key: str,  # noqa: ARG002  absolute counts
        drain: Sequence[str] = (),
    ) -> None:
        group = await self._group()
        least, most = group["MinSize"], group["MaxSize"]
        refuse_outside(self._aws.where, count, ("MinSize", least), ("MaxSize", most))
        desired = group["DesiredCapacity"]
        if count == desired:
            return
        self._last.check(desired)
        if self._target.manages_protection and count < desired:
            await self._choose(group, count, drain)
        at = self._clock.now()
        await self._aws.call(
            SERVICE,
            "set_desired_capacity",
            AutoScalingGroupName=self._target.group,
            DesiredCapacity=count,
            HonorCooldown=False,
        )
        self._changes.saw(count, at)

    async def inspect(self) -> Sequence[Finding]:
        group = await self._group()
        pool, least, most = self._pool, group["MinSize"], group["MaxSize"]
        bounds = outside_bounds(least, most, pool.min_replicas, pool.max_replicas, "the group")
        actions = ["autoscaling:SetDesiredCapacity"]
        if self._target.manages_protection:
            actions.append("autoscaling:SetInstanceProtection")
        findings = await permissions(self._aws, group["AutoScalingGroupARN"], *actions)
        findings += [bounds, *await hindrances(self._aws, group)]
        findings += self._protection(group)
        if any(instance.get("WeightedCapacity") for instance in group.get("Instances", ())):
            findings.append(
                Finding(
                    Level.WARNING,
                    "the group weighs its instance types: a replica here is one unit of its"
                    " capacity, not one instance",
                    "give the types the same weight, 1, or price and size the pool by units",
                )
            )
        if tags := [tag for tag in group.get("Tags", ()) if tag["Key"] == EKS_TAG]:
            findings.append(
                Finding(
                    Level.WARNING,
                    f"the group belongs to the EKS node group {tags[0]['Value']}",
                    "use the provider aws_eks: EKS sets this group's count itself",
                )
            )
        return findings

    async def close(self) -> None:
        await self._aws.close()

    async def _group(self) -> GroupAnswer:
        (group,) = await described(self._aws, [self._target.group])
        return group

    async def _choose(self, group: GroupAnswer, count: int, drain: Sequence[str]) -> None:
        """Leaves those unprotected that are to go, and only those.

        They are the unhealthy, then those in `drain`, then as their names sort: with all others
        protected somebody has to choose, and the same again after a crash.
        """
        first = {name: place for place, name in enumerate(drain)}
        instances = [i for i in group["Instances"] if i["LifecycleState"] == "InService"]
        instances.sort(
            key=lambda i: (
                i["HealthStatus"].lower() == "healthy",
                first.get(i["InstanceId"], len(first)),
                i["InstanceId"],
            )
        )
        left, going = counted([group]).held - count, set[str]()
        for instance in instances:
            if weight(instance) <= left:
                going.add(instance["InstanceId"])
                left -= weight(instance)
        for protect in (True, False):
            wrong = [
                i["InstanceId"]
                for i in instances
                if (i["InstanceId"] not in going) == protect != i["ProtectedFromScaleIn"]
            ]
            for start in range(0, len(wrong), AT_ONCE):
                await self._aws.call(
                    SERVICE,
                    "set_instance_protection",
                    AutoScalingGroupName=self._target.group,
                    InstanceIds=wrong[start : start + AT_ONCE],
                    ProtectedFromScaleIn=protect,
                )

    def _protection(self, group: GroupAnswer) -> list[Finding]:
        managed = self._target.manages_protection
        instances = group.get("Instances", ())
        protected = sum(1 for i in instances if i["ProtectedFromScaleIn"])
        if managed and not group.get("NewInstancesProtectedFromScaleIn"):
            return [
                Finding(
                    Level.WARNING,
                    "`manages_protection` is set, and new instances come unprotected: the group may"
                    " choose them when it is to shrink",
                    "set NewInstancesProtectedFromScaleIn on the group",
                )
            ]
        if protected and not managed:
            free = len(instances) - protected
            return [
                Finding(
                    Level.WARNING,
                    f"{protected} instances are protected from scale-in: at most {free} can go,"
                    f" whatever count is set",
                    "remove the protection, or set `manages_protection` to have Poolwright choose"
                    " by it",
                )
            ]
        return []
