"""Decisions as CloudEvents (binary mode) on a Kafka topic; never in a decision's way."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from poolwright.model.decision import Decision

CAPACITY = 1000
RETRY_S = 1.0
log = logging.getLogger(__name__)
EVENT_TYPE = "dev.poolwright.decision.v1"


class DecisionTopic:
    """`options` are aiokafka's connection options; what cannot be written is counted."""

    def __init__(self, topic: str, options: Mapping[str, Any], source: str = "poolwright") -> None:
        self._topic = topic
        self._options = options
        self._source = source
        self._queue: asyncio.Queue[Decision] = asyncio.Queue(CAPACITY)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def publish(self, decision: Decision) -> None:
        try:
            self._queue.put_nowait(decision)
        except asyncio.QueueFull:
            self.dropped += 1

    async def start(self) -> None:
        self._task = asyncio.create_task(self._write(), name="decisions-topic")

    async def _write(self) -> None:
        while True:
            try:
                await self._write_while_connected()
            except KafkaError as error:
                log.warning("cannot write to Kafka (%s); trying again", error)
                await asyncio.sleep(RETRY_S)

    async def _write_while_connected(self) -> None:
        async with AIOKafkaProducer(**self._options) as producer:
            while True:
                decision = await self._queue.get()
                try:
                    await producer.send_and_wait(
                        self._topic,
                        msgspec.json.encode(decision),
                        key=decision.service.encode(),
                        headers=cloud_event_headers(decision, self._source),
                    )
                except KafkaError:
                    self.dropped += 1
                finally:
                    self._queue.task_done()

    async def stop(self, deadline_s: float = 2.0) -> None:
        if self._task is None:
            return
        if not self._task.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), deadline_s)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def cloud_event_headers(decision: Decision, source: str) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, Kafka protocol binding, binary content mode."""
    time = datetime.fromtimestamp(decision.at, UTC).isoformat()
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": decision.id,
        "ce_source": source,
        "ce_type": EVENT_TYPE,
        "ce_time": time,
        "ce_subject": decision.pool,
        "content-type": "application/json",
    }
    return [(name, value.encode()) for name, value in attributes.items()]
