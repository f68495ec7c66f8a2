"""The broker dies and comes back while the daemon lives: blind meanwhile, exact afterwards."""

import asyncio
import time
from pathlib import Path

import pytest
from testenv.kafka import KafkaServer
from tests.faults.fleet import (
    Instance,
    Provider,
    Telemetry,
    ended,
    offsets,
    services_apart,
    until,
    write_rules,
)

from poolwright.model.decision import Outcome, Reason

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(150)]

PARTITIONS = 2
OUTAGE_S = 12.0
"""Longer than the group's session, and than any window of the rules."""


async def test_the_daemon_outlives_the_broker(kafka: KafkaServer, tmp_path: Path) -> None:
    topic = "outage"
    await kafka.create_topics(topic, partitions=PARTITIONS)
    await kafka.create_topics(f"{topic}-decisions", f"{topic}-dead")
    services = services_apart(PARTITIONS)
    rules = write_rules(tmp_path / "rules", services)
    async with Provider(services) as provider:
        daemon = Instance("daemon", kafka, topic, rules, provider)
        async with ended(daemon), Telemetry(kafka, topic, services, 45.0) as telemetry:
            daemon.start()
            await until(lambda: provider.all_at(5), lambda: f"{provider.counts} {daemon.log()}")
            await until(lambda: daemon.answers("/readyz"), "never ready")

            died_at = time.time()
            kafka.kill()
            telemetry.running = 5.0  # what nobody can know
            try:
                await until(lambda: daemon.answers("/readyz", 503), "ready without a broker", 12)
                while time.time() < died_at + OUTAGE_S:
                    assert await daemon.answers("/healthz")
                    assert await daemon.answers("/readyz", 503)
                    await asyncio.sleep(0.2)
            finally:
                await asyncio.to_thread(kafka.start)
            back_at = time.time()
            assert provider.all_at(5)
            blind = [d for d in daemon.decisions() if died_at < d.at < back_at]
            assert {(d.service, d.reason) for d in blind} >= {
                (service, Reason.TELEMETRY_UNHEALTHY) for service in services
            }
            assert not [d for d in blind if d.acts]

            await until(lambda: daemon.answers("/readyz"), lambda: f"never back {daemon.log()}", 60)
            await until(lambda: provider.all_at(1), lambda: f"{provider.counts} {daemon.log()}", 60)
            await telemetry.end()
            committed, ends = await offsets(kafka, topic, PARTITIONS)

            async def all_committed() -> bool:
                nonlocal committed
                committed, _ = await offsets(kafka, topic, PARTITIONS)
                return committed == ends

            await until(all_committed, lambda: f"committed {committed} of {ends} {daemon.log()}")
            assert await daemon.samples() == sum(ends)
            daemon.terminate()
    lowered = [d for d in daemon.decisions() if d.outcome is Outcome.SCALE_DOWN]
    assert {d.service for d in lowered} == set(services)
    assert all(d.at > back_at for d in lowered)
