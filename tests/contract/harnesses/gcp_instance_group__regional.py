"""gcp_instance_group and a group of a region, against a fake held to Google's schemas."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.gcp_world import harness_in
from tests.contract.harness import Harness


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with harness_in("regions/us-central1", folder, patch) as made:
        yield made
