"""Auto Scaling groups as pools see them: what runs, why no more does, and who else sets the count.

Also what is behind a managed node group of EKS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from poolwright.actuation.answers import SHOWN
from poolwright.actuation.aws.client import Aws, lacks, looked_at
from poolwright.actuation.provider import Finding, Gone, Level
from poolwright.redaction import quoted

GroupAnswer = Mapping[str, Any]
"""One group of DescribeAutoScalingGroups."""

SERVICE: Final = "autoscaling"
ENDED: Final = frozenset({"Successful", "Failed"})
ACTIVITIES: Final = 20
"""The newest that are looked at for a launch that failed: a few waves of one a zone."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of a group's instances, in the unit of its desired capacity."""

    in_service: int
    """Healthy ones: those that the group calls ready."""
    coming: int
    """Pending."""
    unhealthy: int
    """In service and to be replaced."""
    leaving: int
    """Terminating or detaching: they still run."""
    standing_by: int
    """Run and bill, serve nothing, and are no part of the desired capacity."""

    @property
    def held(self) -> int:
        """What the group has of its desired capacity."""
        return self.in_service + self.coming + self.unhealthy


@dataclass(slots=True)
class Changes:
    """When a count was last seen to change: what failed before says nothing of the new one."""

    desired: int | None = None
    since: float = 0.0
    """Seconds since the epoch; 0: not since this daemon started, the newest failure counts."""

    def saw(self, desired: int, at: float) -> float:
        """`since`, after `desired` was read or set at `at`."""
        if self.desired is not None and desired != self.desired:
            self.since = at
        self.desired = desired
        return self.since


def weight(instance: Mapping[str, Any]) -> int:
    """How much of the desired capacity it is: 1, unless the group weighs its instance types."""
    return int(instance.get("WeightedCapacity") or 1)


def counted(groups: Sequence[GroupAnswer]) -> Counted:
    """Instances of the warm pool and those whose root volume is replaced count nowhere."""
    sums = dict.fromkeys(("in_service", "coming", "unhealthy", "leaving", "standing_by"), 0)
    for instance in (one for group in groups for one in group.get("Instances", ())):
        match str(instance["LifecycleState"]).partition(":")[0]:
            case "InService" if instance.get("HealthStatus", "Healthy").lower() == "healthy":
                kind = "in_service"
            case "InService":
                kind = "unhealthy"
            case "Pending":
                kind = "coming"
            case "Terminating" | "Detaching":
                kind = "leaving"
            case "Standby" | "EnteringStandby":
                kind = "standing_by"
            case _:
                continue
        sums[kind] += weight(instance)
    return Counted(**sums)


async def described(aws: Aws, names: Sequence[str]) -> list[GroupAnswer]:
    """The groups of these names, or Gone: AWS answers for one that is not there with silence."""
    answer = await aws.call(
        SERVICE, "describe_auto_scaling_groups", AutoScalingGroupNames=list(names)
    )
    if "AutoScalingGroups" not in answer:
        raise lacks(aws.where, "AutoScalingGroups")
    groups = answer["AutoScalingGroups"]
    there = {group["AutoScalingGroupName"] for group in groups if not group.get("Status")}
    for name in names:
        if name not in there:
            raise Gone(
                f"{aws.where}: there is no Auto Scaling group {name}, or it is being deleted;"
                f" correct the target and its region, or create it"
            )
    return list(groups)


async def why_short(aws: Aws, group: GroupAnswer, since: float) -> str:
    """The group's own words why it launches no more, or ''. `since`: seconds since the epoch.

    The newest launch that has ended decides, of those begun after `since`: a group tries its
    zones one after the other, and one that failed before another succeeded is no lack.
    """
    if "Launch" in suspended(group):
        return f"the group's process Launch is suspended ({suspended(group)['Launch']})"
    answer = await aws.call(
        SERVICE,
        "describe_scaling_activities",
        AutoScalingGroupName=group["AutoScalingGroupName"],
        MaxRecords=ACTIVITIES,
    )
    for activity in answer.get("Activities", ()):  # the newest first
        if activity["StartTime"].timestamp() < since:
            break
        if activity["StatusCode"] in ENDED and activity["Description"].startswith("Launching"):
            failed = activity["StatusCode"] == "Failed"
            words = activity.get("StatusMessage") or activity["Description"]
            return quoted(words, SHOWN) if failed else ""
    return ""


def suspended(group: GroupAnswer) -> dict[str, str]:
    """Why, by process."""
    return {
        process["ProcessName"]: process.get("SuspensionReason", "")
        for process in group.get("SuspendedProcesses", ())
    }


async def hindrances(aws: Aws, group: GroupAnswer) -> list[Finding]:
    """What keeps the group from its count, and who else sets it."""
    findings = [
        Finding(
            Level.PROBLEM,
            f"the process {process} of {group['AutoScalingGroupName']} is suspended ({why}):"
            f" the count is taken, and no instance {verb}",
            "resume it (ResumeProcesses)",
        )
        for process, verb in (("Launch", "comes"), ("Terminate", "goes"))
        if (why := suspended(group).get(process)) is not None
    ]
    standing_by = counted([group]).standing_by
    if standing_by:
        findings.append(
            Finding(
                Level.WARNING,
                f"{standing_by} on standby: they run and bill, and are no replicas here",
                "return them to service or terminate them",
            )
        )
    return [*findings, *await _others(aws, group)]


async def _others(aws: Aws, group: GroupAnswer) -> list[Finding]:
    findings: list[Finding] = []
    name = group["AutoScalingGroupName"]
    seen = "so that others who set the count are seen"
    look = aws.call(SERVICE, "describe_policies", AutoScalingGroupName=name)
    policies = await looked_at(look, findings, seen) or {}
    findings += [
        _other(f"the scaling policy {policy['PolicyName']} ({policy['PolicyType']})")
        for policy in policies.get("ScalingPolicies", ())
        if policy.get("Enabled", True) and not _only_forecasts(policy)
    ]
    look = aws.call(SERVICE, "describe_scheduled_actions", AutoScalingGroupName=name)
    scheduled = await looked_at(look, findings, seen) or {}
    findings += [
        _other(f"the scheduled action {action['ScheduledActionName']}")
        for action in scheduled.get("ScheduledUpdateGroupActions", ())
    ]
    return findings


def _only_forecasts(policy: Mapping[str, Any]) -> bool:
    return bool(policy.get("PredictiveScalingConfiguration", {}).get("Mode") == "ForecastOnly")


def _other(who: str) -> Finding:
    return Finding(
        Level.WARNING, f"{who} sets the same count", "delete or disable it: one decides a count"
    )


def outside_bounds(least: int, most: int, pool_least: int, pool_most: int, what: str) -> Finding:
    """Whether the pool may order what AWS would refuse. `what` has these bounds, as in its API."""
    if least <= pool_least and pool_most <= most:
        return Finding(Level.OK, f"the bounds of {what} ({least} to {most}) hold those of the pool")
    return Finding(
        Level.WARNING,
        f"{what} allows {least} to {most}, the pool {pool_least} to {pool_most}: orders outside"
        f" are refused",
        f"set the bounds of {what} to those of the pool, or the other way round",
    )
