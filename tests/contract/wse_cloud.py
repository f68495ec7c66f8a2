"""A cloud that leases wafer-scale systems, as rules/apis/wse-cloud.yaml describes it.

It knows nothing of the provider: it checks signatures by itself, grants what is in stock, keeps
what is given back until its lease ends, and obeys an order once.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SYSTEM = "chat/70b"
KEY_ID = "key-4711"


@dataclass
class WseCloud:
    """One leased system with two replicas that serve."""

    secret: str
    ordered: int = 2
    stock: int = 9
    version: int = 1
    replicas: list[dict[str, str]] = field(default_factory=list)
    shortage: str = ""
    exists: bool = True
    orders: dict[str, tuple[int, dict[str, object]]] = field(default_factory=dict)
    """What each key was answered."""
    refusals: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    """Answers to the next writes, in the cloud's stead."""
    meddled: bool = False
    """Somebody orders between the next write's precondition and the write."""
    made: int = 0

    def __post_init__(self) -> None:
        self.order(2, [])
        self.serve_all()
        self.version = 1

    # --- what the cloud does ---------------------------------------------------------------

    def order(self, count: int, first: list[str]) -> None:
        held = [
            replica for replica in self.replicas if replica["state"] not in ("leaving", "ended")
        ]
        leaving = [replica for replica in self.replicas if replica["state"] == "leaving"]
        going = [r for r in held if r["name"] in first] + [
            r for r in held if r["name"] not in first
        ]
        for replica in going[: max(0, len(held) - count)]:
            replica["state"] = "leaving"
        for replica in leaving[: max(0, count - len(held))]:
            replica["state"] = "serving"  # its lease is renewed
        for _ in range(count - len(held) - len(leaving)):
            self.made += 1
            self.replicas.append({"name": f"wse-{self.made}", "state": "queued"})
        self.ordered = count
        self.version += 1

    def serve_all(self) -> None:
        for replica in self.replicas:
            if replica["state"] in ("queued", "loading"):
                replica["state"] = "serving"

    def end_leases(self) -> None:
        for replica in self.replicas:
            if replica["state"] == "leaving":
                replica["state"] = "ended"

    # --- what it answers -------------------------------------------------------------------

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v2/systems/{system:path}/order", self._order, methods=["PUT"]),
                Route("/v2/systems/{system:path}", self._read, methods=["GET"]),
            ]
        )

    async def _read(self, request: Request) -> JSONResponse:
        if (refused := await self._refused(request)) is not None:
            return refused
        told = {"ordered": self.ordered, "replicas": self.replicas}
        if self.shortage:
            told["shortage"] = {"message": self.shortage}
        return JSONResponse(told, headers={"etag": f'"{self.version}"'})

    async def _order(self, request: Request) -> JSONResponse:
        if (refused := await self._refused(request)) is not None:
            return refused
        if self.refusals:
            status, body = self.refusals.pop(0)
            return JSONResponse(body, status_code=status)
        key = request.headers["idempotency-key"]
        if key in self.orders:
            status, body = self.orders[key]
            return JSONResponse(body, status_code=status)
        if self.meddled:
            self.version, self.meddled = self.version + 1, False
        if request.headers.get("if-match") != f'"{self.version}"':
            return _error(412, "STALE", "the system is not as you have seen it")
        wanted = json.loads(await request.body())
        before, granted = self.ordered, min(wanted["replicas"], self.stock)
        if granted <= before < wanted["replicas"]:
            return _error(409, "OUT_OF_STOCK", "no systems are left in this region", granted=before)
        self.order(granted, wanted.get("release_first", []))
        self.orders[key] = 202, {"granted": granted}
        return JSONResponse({"granted": granted}, status_code=202)

    async def _refused(self, request: Request) -> JSONResponse | None:
        target = request.scope["raw_path"].decode()
        if request.url.query:
            target += f"?{request.url.query}"
        stamp = request.headers.get("x-wse-timestamp", "")
        parts = [
            request.method,
            target,
            stamp,
            request.headers.get("idempotency-key", ""),
            hashlib.sha256(await request.body()).hexdigest(),
        ]
        right = hmac.new(self.secret.encode(), "\n".join(parts).encode(), "sha256").hexdigest()
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given, f"WSE-HMAC-SHA256 {KEY_ID}:{right}"):
            return _error(401, "BAD_SIGNATURE", f"cannot verify {given}")
        if not self.exists or request.path_params["system"] != SYSTEM:
            return _error(404, "NO_SYSTEM", "no such system")
        return None


def _error(status: int, code: str, message: str, **more: object) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, **more}}, status_code=status)
