"""Managed node groups of EKS: `desiredSize` is the count, their Auto Scaling groups hold the nodes.

An instance in service counts as ready: whether Kubernetes calls its node ready is not seen here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolwright.actuation.aws.client import Aws, lacks
from poolwright.actuation.aws.groups import (
    Changes,
    GroupAnswer,
    counted,
    described,
    hindrances,
    outside_bounds,
    why_short,
)
from poolwright.actuation.aws.permissions import permissions
from poolwright.actuation.bounds import refuse_outside
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import Finding, Gone, Level
from poolwright.actuation.targets.aws_eks import AwsEksTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

SERVICE: Final = "eks"
CLUSTER_AUTOSCALER: Final = "k8s.io/cluster-autoscaler/"
"""EKS itself puts tags that begin so on the groups of every managed node group."""


class AwsEksProvider:
    """One node group of one cluster."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = AwsEksTarget.of(pool)
        self._pool = pool
        self._names = {
            "clusterName": self._target.cluster,
            "nodegroupName": self._target.nodegroup,
        }
        where = f"EKS node group {self._target.cluster}/{self._target.nodegroup}"
        self._aws = Aws(self._target, where)
        self._clock = SystemClock()
        self._changes = Changes()
        self._last = LastRead(self._aws.where)

    async def read(self) -> PoolReport:
        at = self._clock.now()
        node_group = await self._node_group()
        groups = await self._groups(node_group)
        desired, has = node_group["scalingConfig"]["desiredSize"], counted(groups)
        self._last.read(desired)
        since = self._changes.saw(desired, at)
        short = ""
        if has.held < desired:
            short = _ailing(node_group)
            for group in groups:
                short = short or await why_short(self._aws, group, since)
        return PoolReport(
            pool=self._pool.name,
            at=at,
            desired=desired,
            ready=has.in_service,
            starting=max(has.coming, desired - has.in_service),
            terminating=has.leaving,
            short=short,
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  EKS cannot say which nodes go
        scaling = (await self._node_group())["scalingConfig"]
        least, most = scaling["minSize"], scaling["maxSize"]
        refuse_outside(self._aws.where, count, ("minSize", least), ("maxSize", most))
        desired = scaling["desiredSize"]
        if count == desired:
            return
        self._last.check(desired)
        at = self._clock.now()
        await self._aws.call(
            SERVICE,
            "update_nodegroup_config",
            **self._names,
            scalingConfig={"desiredSize": count},
            clientRequestToken=key,
        )
        self._changes.saw(count, at)

    async def inspect(self) -> Sequence[Finding]:
        node_group = await self._node_group()
        groups = await self._groups(node_group)
        scaling, pool = node_group["scalingConfig"], self._pool
        least, most = scaling["minSize"], scaling["maxSize"]
        bounds = outside_bounds(least, most, pool.min_replicas, pool.max_replicas, "the node group")
        findings = await permissions(
            self._aws, node_group["nodegroupArn"], "eks:UpdateNodegroupConfig"
        )
        findings.append(bounds)
        if ailing := _ailing(node_group):
            findings.append(Finding(Level.PROBLEM, ailing, "see the node group's health in EKS"))
        elif node_group["status"] == "UPDATING":
            what = "an update is under way: until it has ended EKS takes no other count"
            findings.append(Finding(Level.WARNING, what, "wait for it to end"))
        for group in groups:
            findings += await hindrances(self._aws, group)
        if any(_for_cluster_autoscaler(group) for group in groups):
            findings.append(
                Finding(
                    Level.OK,
                    "whether a cluster-autoscaler runs cannot be seen in AWS; the node group has"
                    " the tags by which it would be found",
                    "if one runs, keep it from this node group: it sets the same count",
                )
            )
        held = sum(group["DesiredCapacity"] for group in groups)
        wanted = scaling["desiredSize"]
        if groups and held != wanted:
            findings.append(
                Finding(
                    Level.WARNING,
                    f"desiredSize is {wanted}, and {held} in the group behind it:"
                    f" an update is on its way, or somebody sets the group past EKS",
                    "look again in a minute; if it stays, find who sets it, as cluster-autoscaler"
                    " does",
                )
            )
        return findings

    async def close(self) -> None:
        await self._aws.close()

    async def _node_group(self) -> Mapping[str, Any]:
        answer = await self._aws.call(SERVICE, "describe_nodegroup", **self._names)
        node_group: Mapping[str, Any] = answer.get("nodegroup", {})
        if "desiredSize" not in node_group.get("scalingConfig", {}):
            raise lacks(self._aws.where, "scalingConfig.desiredSize")
        if node_group["status"] == "DELETING":
            raise Gone(
                f"{self._aws.where}: it is being deleted; correct the target or make it anew"
            )
        return node_group

    async def _groups(self, node_group: Mapping[str, Any]) -> list[GroupAnswer]:
        resources = node_group.get("resources", {})
        names = [group["name"] for group in resources.get("autoScalingGroups", ())]
        if names:
            return await described(self._aws, names)
        if node_group["status"] in {"CREATING", "CREATE_FAILED"}:
            return []  # no node can be there yet
        raise lacks(self._aws.where, "the Auto Scaling groups of its nodes")


def _ailing(node_group: Mapping[str, Any]) -> str:
    """What EKS says is wrong with it, or ''."""
    issues = node_group.get("health", {}).get("issues", ())
    words = "; ".join(f"{issue['code']}: {issue.get('message', '')}" for issue in issues)
    failing = node_group["status"] in {"DEGRADED", "CREATE_FAILED", "DELETE_FAILED"}
    return words or (f"the node group is {node_group['status']}" if failing else "")


def _for_cluster_autoscaler(group: GroupAnswer) -> bool:
    return any(tag["Key"].startswith(CLUSTER_AUTOSCALER) for tag in group.get("Tags", ()))
