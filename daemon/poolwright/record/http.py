"""/metrics, /healthz, /readyz and /status of the daemon."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from poolwright.record.metrics import DaemonMetrics


@dataclass(frozen=True, slots=True)
class HealthReport:
    alive: bool
    """Ticks are happening."""
    ready: bool
    """Rules are loaded and the group is joined."""
    problem: str | None = None
    """What keeps it from acting although it is up: the journal cannot be written."""


def health_app(
    metrics: DaemonMetrics,
    health: Callable[[], HealthReport],
    status: Callable[[], dict[str, Any]],
) -> Starlette:
    """An ASGI application that only reads."""

    async def show_metrics(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return _answer("alive", "ticks have stopped", good=health().alive)

    async def readyz(_: Request) -> Response:
        report = health()
        if report.ready and report.problem is not None:
            return PlainTextResponse(f"nothing is scaled: {report.problem}\n", 503)
        return _answer("ready", "no tick yet or not in the group", good=report.ready)

    async def show_status(_: Request) -> Response:
        return JSONResponse(status())

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/status", show_status),
        ]
    )


def _answer(yes: str, no: str, *, good: bool) -> Response:
    return PlainTextResponse(f"{yes if good else no}\n", 200 if good else 503)
