"""The http provider as rules/apis/wse-cloud.yaml has it, against a cloud that behaves so."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from tests.contract.harness import Harness, refusing, rule
from tests.contract.simulated_plant import served
from tests.contract.wse_cloud import KEY_ID, SYSTEM, WseCloud

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Invalid,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.http import HttpProvider
from poolwright.settings import Settings

APIS = Path(__file__).parents[3] / "rules" / "apis"
SECRET = "wse-s3cret-of-the-cloud"
ANSWERS: dict[type[CallError], tuple[int, dict[str, object]]] = {
    Unauthorised: (403, {"error": {"code": "FORBIDDEN", "message": "your key may only read"}}),
    Throttled: (503, {"error": {"code": "SLOW_DOWN", "message": "busy", "retry_after_s": 4}}),
    Invalid: (422, {"error": {"code": "BAD_ORDER", "message": "no such lease"}}),
    Unreachable: (500, {}),
}


def described(folder: Path, name: str, *changes: tuple[str, str]) -> Settings:
    """Settings of a daemon with this one of the examples, changed; each text must be in it."""
    text = (APIS / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "apis").mkdir(exist_ok=True)
    (folder / "apis" / name).write_text(text)
    return Settings(rules=folder)


def wse_settings(folder: Path, url: str, *changes: tuple[str, str]) -> Settings:
    key = folder / "key"
    key.write_text(f"{SECRET}\n")
    return described(
        folder,
        "wse-cloud.yaml",
        ("https://api.wse-cloud.example", url),
        ("/run/secrets/wse-cloud-key", str(key)),
        *changes,
    )


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    cloud = WseCloud(SECRET)
    patch.setenv("WSE_CLOUD_KEY_ID", KEY_ID)

    async def told() -> int:
        return cloud.ordered

    async def meddle(count: int) -> None:
        cloud.order(count, [])

    async def remove() -> None:
        cloud.exists = False

    async def sell_out() -> None:
        cloud.stock = cloud.ordered

    async def write_in_between() -> None:
        cloud.stock, cloud.meddled = 9, True

    async def settle(_: int) -> None:
        cloud.serve_all()

    async with served(cloud.app()) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            target = {"ref": "wse-cloud", "system": SYSTEM}
            provider = HttpProvider(rule("http", target), wse_settings(folder, proxy.url))
            yield Harness(
                provider,
                told,
                meddle,
                remove=remove,
                proxy=proxy,
                writes=lambda request: request.startswith(b"PUT "),
                refusals={
                    NoCapacity: sell_out,
                    Conflict: write_in_between,
                    **refusing(cloud.refusals, ANSWERS),
                },
                settle=settle,
            )
            await provider.close()
