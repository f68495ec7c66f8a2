"""azure_scale_set and a uniform set, against a fake held to Microsoft's own clients."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.azure_world import harness_of
from tests.contract.harness import Harness


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with harness_of(patch, flexible=False) as made:
        yield made
