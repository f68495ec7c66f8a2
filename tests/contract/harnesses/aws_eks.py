"""A managed node group of the real moto server.

Moto's node groups have the name of an Auto Scaling group and none behind it: the harness makes it,
and sets its count where EKS would.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.aws_world import moto, set_group, with_group
from tests.contract.harness import Harness, rule

from poolwright.actuation.providers.aws_eks import AwsEksProvider
from poolwright.settings import Settings

CLUSTER = "inference"
NODEGROUP = "chat"
NAMES = {"clusterName": CLUSTER, "nodegroupName": NODEGROUP}


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with moto(folder, patch) as (proxy, past):
        role = "arn:aws:iam::123456789012:role/nodes"
        await past.call(
            "eks",
            "create_cluster",
            name=CLUSTER,
            roleArn=role,
            resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        )
        made = await past.call(
            "eks",
            "create_nodegroup",
            **NAMES,
            scalingConfig={"minSize": 0, "maxSize": 9, "desiredSize": 2},
            subnets=["subnet-1"],
            nodeRole=role,
        )
        behind = made["nodegroup"]["resources"]["autoScalingGroups"][0]["name"]
        await with_group(past, behind)

        async def told() -> int:
            answer = await past.call("eks", "describe_nodegroup", **NAMES)
            return answer["nodegroup"]["scalingConfig"]["desiredSize"]

        async def meddle(count: int) -> None:
            await past.call(
                "eks", "update_nodegroup_config", **NAMES, scalingConfig={"desiredSize": count}
            )

        async def remove() -> None:
            await past.call("eks", "delete_nodegroup", **NAMES)

        async def settle(count: int) -> None:
            await set_group(past, behind, count)

        target = {"cluster": CLUSTER, "nodegroup": NODEGROUP}
        provider = AwsEksProvider(rule("aws_eks", target), Settings())
        yield Harness(
            provider,
            told,
            meddle,
            remove=remove,
            proxy=proxy,
            writes=lambda request: b"/update-config" in request.partition(b"\r\n")[0],
            settle=settle,
        )
        await provider.close()
