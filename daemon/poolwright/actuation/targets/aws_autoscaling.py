"""Which Auto Scaling group a pool is."""

from collections.abc import Hashable
from typing import ClassVar

from typing_extensions import override

from poolwright.actuation.aws.target import CREDENTIALS, AwsTarget
from poolwright.actuation.target import Needs, Text


class AwsAutoScalingTarget(AwsTarget):
    needs: ClassVar[Needs | None] = Needs(
        "Auto Scaling groups of EC2 instances",
        CREDENTIALS,
        (
            "autoscaling:DescribeAutoScalingGroups: to read the count and the instances",
            "autoscaling:DescribeScalingActivities: to say why instances do not come",
            "autoscaling:SetDesiredCapacity on the group: to set the count",
            "autoscaling:SetInstanceProtection on the group: only with `manages_protection`",
            "autoscaling:DescribePolicies: for `check --live` (optional)",
            "autoscaling:DescribeScheduledActions: for `check --live` (optional)",
            "iam:SimulatePrincipalPolicy on its own role: for `check --live` (optional)",
        ),
        extra="aws",
        chooses=True,
    )

    group: Text
    """Its name."""
    manages_protection: bool = False
    """Whether the instances' scale-in protection is Poolwright's, to say which of them go."""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        return self.place(), self.group
