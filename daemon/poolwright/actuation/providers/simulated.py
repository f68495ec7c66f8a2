"""The provider of demo, replay and tests: a simulated plant behind a real HTTP API."""

from collections.abc import Sequence
from typing import Any

import httpx2

from poolwright.actuation.answers import Hints, meaning
from poolwright.actuation.provider import Finding, NoCapacity, Unreachable
from poolwright.actuation.targets.simulated import SimulatedTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

CALL_TIMEOUT_S = 5.0
HINTS = Hints(gone="the plant has no such pool, check the rule file's target")


class SimulatedProvider:
    """One pool of the plant at `settings.simulated_url`, named by the target if it says so."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:
        target = SimulatedTarget.of(pool)
        self._pool = pool.name
        self._path = f"/pools/{target.pool or pool.name}"
        self._clock = SystemClock()
        self._client = httpx2.AsyncClient(base_url=settings.simulated_url, timeout=CALL_TIMEOUT_S)

    async def read(self) -> PoolReport:
        body = await self._call("GET", self._path)
        try:
            counts = {k: int(body[k]) for k in ("desired", "ready", "starting", "terminating")}
            return PoolReport(self._pool, float(body["at"]), **counts, short="")
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self._path}: the plant's answer has no usable counts") from error

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  the plant drains the least loaded anyway
        await self._call("PUT", f"{self._path}/replicas", {"replicas": count, "key": key})

    async def inspect(self) -> Sequence[Finding]:
        return ()

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        where = f"{method} {self._client.base_url}{path}"
        try:
            answer = await self._client.request(method, path, json=body)
            found = answer.json() if answer.status_code in (200, 409) else None
        except (httpx2.HTTPError, ValueError) as error:
            raise Unreachable(f"{where}: {error!r}; check POOLWRIGHT_SIMULATED_URL") from error
        match answer.status_code:
            case 200:
                return found
            case 409:
                granted = found.get("granted") if isinstance(found, dict) else None
                raise NoCapacity(f"{where}: out of stock, granted {granted}", granted=granted)
            case status:
                now = self._clock.now()
                raise meaning(status, where, headers=answer.headers, now=now, hints=HINTS)
