"""The kuberay provider against a real API server; the pods of the workers are the test's."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.harness import Harness
from tests.contract.ray_world import ray

from poolwright.actuation.provider import Unauthorised


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with ray(folder, patch) as made:

        async def remove() -> None:
            await made.cluster.ask("DELETE", made.path)

        async def revoke() -> None:
            await made.cluster.revoke("poolwright", made.token)

        yield Harness(
            made.provider,
            made.told,
            made.set_count,
            remove=remove,
            proxy=made.proxy,
            writes=lambda request: request.startswith(b"PUT "),
            refusals={Unauthorised: revoke},
            settle=made.settle,
        )
