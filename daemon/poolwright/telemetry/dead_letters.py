"""Messages that could not be used go to a topic of their own, with the reason and their place.

Bounded and never in the consumer's way: when the broker cannot take them, they are counted.
"""

import asyncio
import contextlib
import logging

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from poolwright.settings import KafkaSettings
from poolwright.telemetry.connection import connection_options
from poolwright.telemetry.decoder import DeadLetter

CAPACITY = 1000
RETRY_S = 1.0
log = logging.getLogger(__name__)


class DeadLetters:
    """Producer to the dead-letter topic; without a topic it only counts."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._queue: asyncio.Queue[DeadLetter] = asyncio.Queue(CAPACITY)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Letters that could not be written."""
        self.written = 0

    def put(self, letter: DeadLetter) -> None:
        try:
            self._queue.put_nowait(letter)
        except asyncio.QueueFull:
            self.dropped += 1

    async def start(self) -> None:
        if self._settings.dead_letter_topic is not None:
            self._task = asyncio.create_task(self._write(), name="dead-letters")

    async def _write(self) -> None:
        while True:
            try:
                await self._write_while_connected()
            except KafkaError as error:
                log.warning("cannot write to Kafka (%s); trying again", error)
                await asyncio.sleep(RETRY_S)

    async def _write_while_connected(self) -> None:
        topic = self._settings.dead_letter_topic
        async with AIOKafkaProducer(**connection_options(self._settings)) as producer:
            while True:
                letter = await self._queue.get()
                headers = [("reason", letter.reason.encode()), ("detail", letter.detail.encode())]
                if letter.place is not None:
                    headers += [
                        ("topic", letter.place.topic.encode()),
                        ("partition", str(letter.place.partition).encode()),
                        ("offset", str(letter.place.offset).encode()),
                    ]
                try:
                    await producer.send_and_wait(topic, letter.value, headers=headers)
                    self.written += 1
                except KafkaError:
                    self.dropped += 1
                finally:
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
