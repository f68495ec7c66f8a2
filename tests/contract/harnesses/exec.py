"""The exec provider with a command that keeps its pool in a file: the example of its page."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.harness import Harness, rule

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Invalid,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.exec import ExecProvider
from poolwright.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "exec.md"


def example() -> str:
    """The script as users copy it from the page."""
    _, _, rest = PAGE.read_text().partition("```python\n")
    script, fence, _ = rest.partition("```")
    assert fence
    return script


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    script, state = folder / "scale.py", folder / "state.json"
    script.write_text(example())

    def change(**keys: object) -> None:
        state.write_text(json.dumps({**json.loads(state.read_text()), **keys}))

    async def told() -> int:
        count: int = json.loads(state.read_text())["desired"]
        return count

    async def meddle(count: int) -> None:
        change(desired=count, ready=count)

    async def remove() -> None:
        state.unlink()

    async def settle(count: int) -> None:
        change(ready=count)

    def answering(error: type[CallError]) -> Callable[[], Awaitable[None]]:
        async def refuse() -> None:
            change(refuse={"kind": error.kind, "message": "as the test asked"})

        return refuse

    state.write_text(json.dumps({"desired": 2, "ready": 2}))
    patch.setenv("STATE_FILE", str(state))
    # As a user's virtual environment would: the example needs no package.
    target = {"command": [sys.executable, "-I", str(script)], "env": ["STATE_FILE"]}
    provider = ExecProvider(rule("exec", target), Settings())
    kinds = (Conflict, Gone, Invalid, NoCapacity, Throttled, Unauthorised, Unreachable)
    yield Harness(
        provider,
        told,
        meddle,
        remove=remove,
        refusals={error: answering(error) for error in kinds},
        settle=settle,
        rests_on_its_read=False,
    )
    await provider.close()
