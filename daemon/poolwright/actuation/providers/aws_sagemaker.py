"""Production variants of SageMaker endpoints: the variant's instance count, nothing of its weight.

While an endpoint updates, SageMaker takes no other count: that is a request for patience.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolwright.actuation.answers import SHOWN
from poolwright.actuation.aws.client import Aws, lacks, looked_at
from poolwright.actuation.aws.permissions import permissions
from poolwright.actuation.last_read import LastRead
from poolwright.actuation.provider import Finding, Gone, Invalid, Level
from poolwright.actuation.targets.aws_sagemaker import AwsSageMakerTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.redaction import quoted
from poolwright.settings import Settings

SERVICE: Final = "sagemaker"
SERVING: Final = frozenset(
    {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}
)
"""In these an endpoint answers requests, with the instances that it had."""
IDLE: Final = frozenset({"Creating", "Failed", "OutOfService"})
"""In these it answers none."""
STEADY: Final = "InService"
DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"


class AwsSageMakerProvider:
    """One production variant of one endpoint."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = AwsSageMakerTarget.of(pool)
        self._pool = pool
        where = f"SageMaker endpoint {self._target.endpoint}, variant {self._target.variant}"
        self._aws = Aws(self._target, where)
        self._clock = SystemClock()
        self._last = LastRead(self._aws.where)

    async def read(self) -> PoolReport:
        at = self._clock.now()
        endpoint = await self._endpoint()
        variant = self._variant(endpoint)
        desired, current = variant["DesiredInstanceCount"], variant["CurrentInstanceCount"]
        self._last.read(desired)
        status = endpoint["EndpointStatus"]
        if status not in SERVING | IDLE:
            raise lacks(self._aws.where, f"a status that is known here (it is {status})")
        ready = min(current, desired) if status in SERVING else 0
        return PoolReport(
            pool=self._pool.name,
            at=at,
            desired=desired,
            ready=ready,
            starting=desired - ready,
            terminating=max(0, current - desired),
            short=_why_short(endpoint) if ready < desired else "",
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  absolute counts; SageMaker cannot say which instances go
        desired = self._variant(await self._endpoint())["DesiredInstanceCount"]
        if count == desired:
            return
        self._last.check(desired)
        wanted = {"VariantName": self._target.variant, "DesiredInstanceCount": count}
        await self._aws.call(
            SERVICE,
            "update_endpoint_weights_and_capacities",
            EndpointName=self._target.endpoint,
            DesiredWeightsAndCapacities=[wanted],
        )

    async def inspect(self) -> Sequence[Finding]:
        endpoint = await self._endpoint()
        variant = self._variant(endpoint)
        findings = await permissions(
            self._aws, endpoint["EndpointArn"], "sagemaker:UpdateEndpointWeightsAndCapacities"
        )
        status = endpoint["EndpointStatus"]
        if status in {"Failed", "OutOfService", "UpdateRollbackFailed"}:
            what = f"the endpoint is {status}: {endpoint.get('FailureReason', 'no reason given')}"
            findings.append(Finding(Level.PROBLEM, what, "mend it: SageMaker takes no count now"))
        elif status != STEADY:
            what = f"the endpoint is {status}: until that has ended it takes no other count"
            findings.append(Finding(Level.WARNING, what, "wait for it to end"))
        if self._pool.min_replicas == 0:
            what = "the pool's min is 0, which SageMaker takes only with inference components"
            findings.append(Finding(Level.WARNING, what, "set min to 1 unless it has some"))
        if variant.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED":
            what = "SageMaker's own managed instance scaling sets the same count"
            findings.append(Finding(Level.WARNING, what, "disable it in the endpoint's config"))
        return [*findings, *await self._scalable_target()]

    async def close(self) -> None:
        await self._aws.close()

    async def _endpoint(self) -> Mapping[str, Any]:
        endpoint = await self._aws.call(
            SERVICE, "describe_endpoint", EndpointName=self._target.endpoint
        )
        if endpoint.get("EndpointStatus") == "Deleting":
            raise Gone(
                f"{self._aws.where}: it is being deleted; correct the target or make it anew"
            )
        if "EndpointStatus" not in endpoint:
            raise lacks(self._aws.where, "EndpointStatus")
        return endpoint

    def _variant(self, endpoint: Mapping[str, Any]) -> Mapping[str, Any]:
        variants = {one["VariantName"]: one for one in endpoint.get("ProductionVariants", ())}
        found: Mapping[str, Any] | None = variants.get(self._target.variant)
        if found is None and endpoint["EndpointStatus"] in IDLE and not variants:
            raise lacks(
                self._aws.where, f"variants, as the endpoint is {endpoint['EndpointStatus']}"
            )
        if found is None:
            there = ", ".join(variants)
            raise Gone(f"{self._aws.where}: there is no such variant, only {there}; correct it")
        if "CurrentServerlessConfig" in found:
            raise Invalid(
                f"{self._aws.where}: it is serverless, no instances can be counted or set"
            )
        if "DesiredInstanceCount" not in found or "CurrentInstanceCount" not in found:
            raise lacks(self._aws.where, "the variant's instance counts")
        return found

    async def _scalable_target(self) -> list[Finding]:
        """What Application Auto Scaling has registered on the same count."""
        findings: list[Finding] = []
        name = f"endpoint/{self._target.endpoint}/variant/{self._target.variant}"
        look = self._aws.call(
            "application-autoscaling",
            "describe_scalable_targets",
            ServiceNamespace=SERVICE,
            ResourceIds=[name],
            ScalableDimension=DIMENSION,
        )
        answer = await looked_at(look, findings, "so that others who set the count are seen")
        for target in (answer or {}).get("ScalableTargets", ()):
            least, most = target["MinCapacity"], target["MaxCapacity"]
            findings.append(
                Finding(
                    Level.WARNING,
                    f"Application Auto Scaling holds the variant between {least} and {most}",
                    "deregister the scalable target: one decides a count",
                )
            )
        return findings


def _why_short(endpoint: Mapping[str, Any]) -> str:
    """Why the last update failed; '' while one is under way."""
    if endpoint["EndpointStatus"] in {"Creating", "Updating", "SystemUpdating"}:
        return ""
    return quoted(str(endpoint.get("FailureReason", "")), SHOWN)
