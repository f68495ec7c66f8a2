"""Messages on their way out to a topic: bounded, retried, and never in their producer's way."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

CAPACITY = 1000
CAPACITY_BYTES = 16 * 1024 * 1024
"""Both bound the queue: a thousand of the largest messages would be a gigabyte."""
RETRY_S = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    key: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of what may be large."""
        return len(self.value) + sum(len(value) for _, value in self.headers)


class Outbox:
    """`options` are aiokafka's connection options; without a topic, what is put goes nowhere."""

    def __init__(self, topic: str | None, options: Mapping[str, Any]) -> None:
        self._topic = topic
        self._options = options
        self._queue: asyncio.Queue[Message] = asyncio.Queue(CAPACITY)
        self._bytes = 0
        self._accepted = self._finished = 0
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Messages that could not be written."""

    def put(self, message: Message) -> None:
        if self._topic is None:
            return
        if self._queue.full() or self._bytes + message.size > CAPACITY_BYTES:
            self.dropped += 1
            return
        self._bytes += message.size
        self._accepted += 1
        self._queue.put_nowait(message)

    async def flush(self, deadline_s: float) -> bool:
        """Waits until what was put before is written or dropped; False past the deadline."""
        wanted = self._accepted
        try:
            async with asyncio.timeout(deadline_s):
                while self._finished < wanted:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def start(self) -> None:
        if self._topic is not None:
            self._task = asyncio.create_task(self._write(), name=f"outbox {self._topic}")

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
                message = await self._queue.get()
                try:
                    await producer.send_and_wait(
                        self._topic, message.value, key=message.key, headers=message.headers
                    )
                except KafkaError:
                    self.dropped += 1
                finally:
                    self._bytes -= message.size
                    self._finished += 1
                    self._progress.set()
                    self._queue.task_done()

    async def stop(self, deadline_s: float = 2.0) -> None:
        """Writes what waits, as far as the deadline lets it."""
        if self._task is None:
            return
        if not self._task.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), deadline_s)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
