"""A production variant of an endpoint of the real moto server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.aws_world import Past, moto
from tests.contract.harness import Harness, rule

from poolwright.actuation.providers.aws_sagemaker import AwsSageMakerProvider
from poolwright.settings import Settings

ENDPOINT = "chat"
VARIANT = "h100"


async def set_variant(past: Past, count: int) -> None:
    await past.call(
        "sagemaker",
        "update_endpoint_weights_and_capacities",
        EndpointName=ENDPOINT,
        DesiredWeightsAndCapacities=[{"VariantName": VARIANT, "DesiredInstanceCount": count}],
    )


async def with_endpoint(past: Past) -> None:
    """An endpoint with two instances in each of two variants."""
    role = "arn:aws:iam::123456789012:role/models"
    container = {"Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/vllm:1"}
    await past.call(
        "sagemaker",
        "create_model",
        ModelName="chat",
        ExecutionRoleArn=role,
        PrimaryContainer=container,
    )
    await past.call(
        "sagemaker",
        "create_endpoint_config",
        EndpointConfigName="chat",
        ProductionVariants=[
            {
                "VariantName": name,
                "ModelName": "chat",
                "InitialInstanceCount": 2,
                "InstanceType": "ml.p3.16xlarge",
                "InitialVariantWeight": 1.0,
            }
            for name in (VARIANT, "other")
        ],
    )
    await past.call(
        "sagemaker", "create_endpoint", EndpointName=ENDPOINT, EndpointConfigName="chat"
    )


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with moto(folder, patch) as (proxy, past):
        await with_endpoint(past)

        async def told() -> int:
            answer = await past.call("sagemaker", "describe_endpoint", EndpointName=ENDPOINT)
            variants = {one["VariantName"]: one for one in answer["ProductionVariants"]}
            return variants[VARIANT]["DesiredInstanceCount"]

        async def meddle(count: int) -> None:
            await set_variant(past, count)

        async def remove() -> None:
            await past.call("sagemaker", "delete_endpoint", EndpointName=ENDPOINT)

        async def settle(_: int) -> None:
            """Moto's instances are there at once."""

        target = {"endpoint": ENDPOINT, "variant": VARIANT}
        provider = AwsSageMakerProvider(rule("aws_sagemaker", target), Settings())
        yield Harness(
            provider,
            told,
            meddle,
            remove=remove,
            proxy=proxy,
            writes=lambda request: b"UpdateEndpointWeightsAndCapacities" in request,
            settle=settle,
        )
        await provider.close()
