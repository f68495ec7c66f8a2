"""The real moto server, started once a session, and a way to it past provider and proxy."""

import atexit
import contextlib
import functools
import http.client
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.loaders import create_loader
from testenv.fault_proxy import FaultProxy, fault_proxy
from testenv.moto import MotoServerError, moto_server
from testenv.ports import HOST
from tests.contract.fake_aws import FakeAws

REGION = "eu-west-1"
ACCESS_KEY = "AKIDFORTESTS00000000"
SECRET_KEY = "a-secret-key-of-tests"
IMAGE = "ami-12c6146b"
LOADER = create_loader()
"""Reads the descriptions of services once, not once a test."""


@functools.cache
def moto_port() -> int:
    """Of a fresh server; it ends with the session of tests."""
    ending = contextlib.ExitStack()
    try:
        port = ending.enter_context(moto_server())
    except (MotoServerError, OSError) as error:
        pytest.skip(f"no moto server could be started here, NOT TESTED: {error}")
    atexit.register(ending.close)
    return port


def forget_everything(port: int) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=10.0)
    connection.request("POST", "/moto-api/reset")
    assert connection.getresponse().status == 200
    connection.close()


def use_aws(patch: pytest.MonkeyPatch, url: str, folder: Path) -> None:
    """The environment of a daemon whose AWS is at `url`: none of this machine's own settings."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ENDPOINT_URL", url)
    patch.setenv("AWS_DEFAULT_REGION", REGION)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", str(folder / "aws-config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "aws-credentials"))


class Past:
    """Calls of AWS's own client straight to the server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[str, Any] = {}
        self.closing = contextlib.AsyncExitStack()

    async def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        if service not in self._clients:
            session = AioSession()
            session.register_component("data_loader", LOADER)
            made = session.create_client(
                service,
                region_name=REGION,
                endpoint_url=self._url,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
            )
            self._clients[service] = await self.closing.enter_async_context(made)
        answer: dict[str, Any] = await getattr(self._clients[service], operation)(**arguments)
        return answer


@contextlib.asynccontextmanager
async def moto(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FaultProxy, Past]]:
    """A proxy before an empty server, which the environment leads to, and the way past both."""
    port = moto_port()
    forget_everything(port)
    async with fault_proxy(HOST, port) as proxy:
        use_aws(patch, proxy.url, folder)
        past = Past(f"http://{HOST}:{port}")
        async with past.closing:
            yield proxy, past


async def with_group(past: Past, name: str, *, count: int = 2, least: int = 0) -> None:
    """An Auto Scaling group of so many instances that may have up to nine."""
    await past.call(
        "autoscaling",
        "create_launch_configuration",
        LaunchConfigurationName=f"{name}-launch",
        ImageId=IMAGE,
        InstanceType="t3.micro",
    )
    await past.call(
        "autoscaling",
        "create_auto_scaling_group",
        AutoScalingGroupName=name,
        LaunchConfigurationName=f"{name}-launch",
        MinSize=least,
        MaxSize=9,
        DesiredCapacity=count,
        AvailabilityZones=[f"{REGION}a"],
    )


async def group(past: Past, name: str) -> dict[str, Any]:
    (found,) = (
        await past.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    )["AutoScalingGroups"]
    return found


async def set_group(past: Past, name: str, count: int) -> None:
    await past.call(
        "autoscaling", "set_desired_capacity", AutoScalingGroupName=name, DesiredCapacity=count
    )


@contextlib.asynccontextmanager
async def imitated(
    folder: Path, patch: pytest.MonkeyPatch, **answers: Any
) -> AsyncIterator[FakeAws]:
    """The imitation, which the environment leads to; `answers` by operation."""
    fake = FakeAws()
    fake.answers |= answers
    async with fake.serving() as url:
        use_aws(patch, url, folder)
        yield fake
