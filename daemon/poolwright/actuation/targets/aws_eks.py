"""Which managed node group of EKS a pool is."""

from collections.abc import Hashable
from typing import ClassVar

from typing_extensions import override

from poolwright.actuation.aws.target import CREDENTIALS, AwsTarget
from poolwright.actuation.target import Needs, Text


class AwsEksTarget(AwsTarget):
    needs: ClassVar[Needs | None] = Needs(
        "managed node groups of EKS",
        CREDENTIALS,
        (
            "eks:DescribeNodegroup on the node group: to read the count and its health",
            "eks:UpdateNodegroupConfig on the node group: to set the count",
            "autoscaling:DescribeAutoScalingGroups: to count its instances",
            "autoscaling:DescribeScalingActivities: to say why instances do not come",
            "autoscaling:DescribePolicies: for `check --live` (optional)",
            "autoscaling:DescribeScheduledActions: for `check --live` (optional)",
            "iam:SimulatePrincipalPolicy on its own role: for `check --live` (optional)",
        ),
        extra="aws",
    )

    cluster: Text
    nodegroup: Text

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        return self.place(), self.cluster, self.nodegroup
