"""The provider of demo, replay and tests: a simulated plant behind a real HTTP API."""

from collections.abc import Sequence
from typing import Any

import httpx2

from poolwright.actuation.provider import Gone, NoCapacity, Unreachable
from poolwright.actuation.targets.simulated import SimulatedTarget
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

CALL_TIMEOUT_S = 5.0


class SimulatedProvider:
    """One pool of the plant at `settings.simulated_url`, named by the target if it says so."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:
        target = SimulatedTarget.of(pool)
        self._pool = pool.name
        self._path = f"/pools/{target.pool or pool.name}"
        self._client = httpx2.AsyncClient(base_url=settings.simulated_url, timeout=CALL_TIMEOUT_S)

    async def read(self) -> PoolReport:
        body = await self._call("GET", self._path)
        try:
            counts = {k: int(body[k]) for k in ("desired", "ready", "starting", "terminating")}
            return PoolReport(pool=self._pool, at=float(body["at"]), **counts)
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self._path}: the plant's answer has no usable counts") from error

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:  # noqa: ARG002  the plant drains the least loaded anyway
        await self._call("PUT", f"{self._path}/replicas", {"replicas": count, "key": key})

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
            case 404:
                raise Gone(f"{where}: the plant has no such pool; check the rule file's target")
            case 409:
                granted = found.get("granted") if isinstance(found, dict) else None
                raise NoCapacity(f"{where}: out of stock, granted {granted}", granted=granted)
            case status:
                raise Unreachable(f"{where}: HTTP {status}; see the plant server's log")
