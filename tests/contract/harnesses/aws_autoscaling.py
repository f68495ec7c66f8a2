"""An Auto Scaling group of the real moto server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.aws_world import group, moto, set_group, with_group
from tests.contract.harness import Harness, rule

from poolwright.actuation.providers.aws_autoscaling import AwsAutoScalingProvider
from poolwright.settings import Settings

NAME = "chat"


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with moto(folder, patch) as (proxy, past):
        await with_group(past, NAME)

        async def told() -> int:
            return (await group(past, NAME))["DesiredCapacity"]

        async def meddle(count: int) -> None:
            await set_group(past, NAME, count)

        async def remove() -> None:
            await past.call(
                "autoscaling",
                "delete_auto_scaling_group",
                AutoScalingGroupName=NAME,
                ForceDelete=True,
            )

        async def settle(_: int) -> None:
            """Moto's instances are in service at once."""

        provider = AwsAutoScalingProvider(rule("aws_autoscaling", {"group": NAME}), Settings())
        yield Harness(
            provider,
            told,
            meddle,
            remove=remove,
            proxy=proxy,
            writes=lambda request: b"Action=SetDesiredCapacity" in request,
            settle=settle,
        )
        await provider.close()
