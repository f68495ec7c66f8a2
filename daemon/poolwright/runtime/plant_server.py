"""The load player of demo and tests: a workload through the plant, its telemetry to Kafka.

A process of its own, so that the daemon meets it as it meets production: by topic and HTTP.
"""

import argparse
import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from poolwright import rulefiles
from poolwright.clock import Clock
from poolwright.model.rule import ServiceRule
from poolwright.runtime.plant_files import load_plant
from poolwright.runtime.plants import prepared
from poolwright.runtime.timekeeping import make_clock
from poolwright.runtime.traces import arrivals_at, open_trace
from poolwright.settings import Settings
from poolwright.simulation.coding import coding_hour
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import FaultKind, PlantSpec, plant_for
from poolwright.simulation.workloads import Workload

STEP_REAL_S = 0.05
EVENTS_PER_MESSAGE = 200


def summary(plant: Plant, service: ServiceRule, at: float) -> dict[str, Any]:
    outcome = plant.outcomes(service.classes)
    return {
        "requests": outcome.submitted,
        "ended": outcome.ended,
        "overdue": outcome.overdue,
        "attainment": dict(outcome.attainment),
        "latency": dict(outcome.latency),
        "cost_usd": plant.bill(at),
        "replica_seconds": dict(outcome.replica_seconds),
    }


def plant_app(plant: Plant, service: ServiceRule, clock: Clock) -> Starlette:  # noqa: C901  five small routes
    """The plant's HTTP API; 503 while a fault makes the API unreachable."""
    names = [pool.name for pool in service.pools]

    def refused(name: str) -> JSONResponse | None:
        if name not in names:
            return JSONResponse({"error": "no_such_pool"}, 404)
        if plant.faulty(name, FaultKind.API_UNREACHABLE, clock.now()):
            return JSONResponse({"error": "api_unreachable"}, 503)
        return None

    async def pools(_: Request) -> JSONResponse:
        return JSONResponse([asdict(plant.report(name)) for name in names])

    async def read(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        return refused(name) or JSONResponse(asdict(plant.report(name)))

    async def scale(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        if (refusal := refused(name)) is not None:
            return refusal
        try:
            count = (await request.json())["replicas"]
        except (ValueError, KeyError, TypeError):
            count = None
        if type(count) is not int or count < 0:
            return JSONResponse({"error": "replicas must be a whole number from 0 on"}, 422)
        granted = plant.set_replicas(name, count, at=clock.now())
        if granted < count:
            return JSONResponse({"error": "no_capacity", "granted": granted}, 409)
        return JSONResponse(asdict(plant.report(name)))

    async def summarise(_: Request) -> JSONResponse:
        return JSONResponse(summary(plant, service, clock.now()))

    return Starlette(
        routes=[
            Route("/pools", pools),
            Route("/pools/{name}", read),
            Route("/pools/{name}/replicas", scale, methods=["PUT"]),
            Route("/summary", summarise),
        ]
    )


def traceparent(service: str, number: int) -> bytes:
    """The W3C trace context of the message, as a gateway's exporter would send it."""
    digest = hashlib.sha256(f"{service}/{number}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01".encode()


async def serve_plant(
    service: ServiceRule,
    workload: Workload,
    spec: PlantSpec,
    settings: Settings,
    *,
    port: int,
    summary_file: Path | None,
    compression: str | None = None,
    seed: int = 1,
) -> None:
    """Plays the workload to its end and until the plant has drained; faults count from its start.

    Raises TraceError when the workload has a class that the service does not have.
    """
    clock = make_clock(settings.clock)
    start = clock.now()
    plant = prepared(service, spec, seed=seed, starts_at=start)
    plant.advance(start)  # what happened before the trace is told to nobody
    for arrival in arrivals_at(workload, service, origin_s=start):
        plant.submit(arrival)
    server = uvicorn.Server(
        uvicorn.Config(
            plant_app(plant, service, clock), host="127.0.0.1", port=port, log_level="warning"
        )
    )
    serving = asyncio.create_task(server.serve())
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap, compression_type=compression, linger_ms=10
    )
    await producer.start()
    sent = 0
    try:
        while not serving.done():
            at = clock.now()
            events = plant.advance(at)
            for i in range(0, len(events), EVENTS_PER_MESSAGE):
                value = msgspec.json.encode(events[i : i + EVENTS_PER_MESSAGE])
                sent += 1
                await producer.send(
                    settings.kafka.topics[0],
                    value,
                    key=service.service.encode(),
                    headers=[("traceparent", traceparent(service.service, sent))],
                )
            if at > start + workload.duration_s and plant.in_flight == 0:
                break
            await asyncio.sleep(STEP_REAL_S)
    finally:
        await producer.stop()
        if summary_file is not None:
            text = json.dumps(summary(plant, service, clock.now()))
            summary_file.write_text(text)  # noqa: ASYNC240  the last thing it does
        server.should_exit = True
        await serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--plant", type=Path, help="default: what the rule file says of its pools")
    parser.add_argument("--port", type=int, default=9465)
    parser.add_argument("--summary", type=Path)
    parser.add_argument("--compression", choices=["lz4", "zstd", "snappy", "gzip"])
    parser.add_argument("--seed", type=int, default=1)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--coding-hour", action="store_true")
    source.add_argument("--trace", type=Path)
    options = parser.parse_args()
    service = rulefiles.load(options.rules).services[0]
    workload = coding_hour(options.seed) if options.coding_hour else open_trace(options.trace)
    spec = load_plant(options.plant, service) if options.plant else plant_for(service)
    asyncio.run(
        serve_plant(
            service,
            workload,
            spec,
            Settings(),
            port=options.port,
            summary_file=options.summary,
            compression=options.compression,
            seed=options.seed,
        )
    )


if __name__ == "__main__":
    main()
