"""Which production variant of a SageMaker endpoint a pool is."""

from collections.abc import Hashable
from typing import ClassVar

from typing_extensions import override

from poolwright.actuation.aws.target import CREDENTIALS, AwsTarget
from poolwright.actuation.target import Needs, Text


class AwsSageMakerTarget(AwsTarget):
    needs: ClassVar[Needs | None] = Needs(
        "production variants of SageMaker endpoints",
        CREDENTIALS,
        (
            "sagemaker:DescribeEndpoint on the endpoint: to read the counts",
            "sagemaker:UpdateEndpointWeightsAndCapacities on the endpoint: to set the count",
            "application-autoscaling:DescribeScalableTargets: for `check --live` (optional)",
            "iam:SimulatePrincipalPolicy on its own role: for `check --live` (optional)",
        ),
        extra="aws",
    )

    endpoint: Text
    variant: Text = "AllTraffic"
    """SageMaker's own name for an endpoint's only variant."""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        return self.place(), self.endpoint, self.variant
