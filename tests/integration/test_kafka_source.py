import asyncio
import json
from collections.abc import Callable, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from testenv.kafka import KafkaServer

from poolwright.clock import SystemClock
from poolwright.model.names import NameTable
from poolwright.settings import KafkaSettings
from poolwright.telemetry.source import KafkaSource, TopicPartition

pytestmark = pytest.mark.kafka

PARTITIONS = 4


def arrival(number: int) -> bytes:
    """`input_tokens` tells the samples apart."""
    event = {"type": "arrival", "at": 1.7e9 + number, "service": "chat", "input_tokens": number}
    return json.dumps(event).encode()


async def produce(server: KafkaServer, topic: str, numbers: range) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, acks="all") as producer:
        sent = [
            await producer.send(topic, arrival(number), partition=number % PARTITIONS)
            for number in numbers
        ]
        await asyncio.gather(*sent)


class Instance:
    """What the runtime does with a source: state, and the offsets the state holds."""

    def __init__(self, server: KafkaServer, topic: str) -> None:
        settings = KafkaSettings(
            bootstrap=server.bootstrap,
            topics=[topic],
            group=f"{topic}-group",
            dead_letter_topic=None,
        )
        self.source = KafkaSource(settings, SystemClock(), NameTable(), None)
        self.seen: list[int] = []
        self.held: dict[TopicPartition, int] = {}
        self.revoke_takes_s = 0.0
        self.revoked = 0
        self.source.on_revoked = self.checkpoint

    async def checkpoint(self) -> None:
        self.revoked += 1
        await self.source.commit(self.held)
        await asyncio.sleep(self.revoke_takes_s)

    async def tick(self) -> None:
        fetched = await self.source.take()
        if fetched is None:
            return
        for batch in fetched.batches:
            self.seen += [int(tokens) for tokens in batch.arrivals.input_tokens]
        self.held.update(fetched.offsets)


async def tick_until(done: Callable[[], bool], *instances: Instance, within_s: float = 15) -> None:
    async with asyncio.timeout(within_s):
        while not done():
            for instance in instances:
                await instance.tick()
            await asyncio.sleep(0.02)


async def topics(server: KafkaServer, topic: str) -> None:
    await server.create_topics(topic, partitions=PARTITIONS)


async def committed(server: KafkaServer, topic: str) -> Mapping[TopicPartition, int | None]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=server.bootstrap, group_id=f"{topic}-group", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return {partition: await consumer.committed(partition) for partition in partitions}
    finally:
        await consumer.stop()


async def first_run(kafka: KafkaServer, topic: str) -> Instance:
    """An instance that committed the first 100 samples, and took but never committed 100 more."""
    await topics(kafka, topic)
    await produce(kafka, topic, range(100))
    first = Instance(kafka, topic)
    await first.source.start()
    try:
        await tick_until(lambda: len(first.seen) >= 100, first)
        assert await first.source.commit(first.held)
        await produce(kafka, topic, range(100, 200))
        await tick_until(lambda: len(first.seen) >= 200, first)
    finally:
        await first.source.stop()
    assert sorted(first.seen) == list(range(200))
    assert sum(offset or 0 for offset in (await committed(kafka, topic)).values()) == 100
    return first


async def test_restart_goes_on_from_what_the_state_holds(kafka: KafkaServer) -> None:
    topic = "resume-state"
    first = await first_run(kafka, topic)
    await produce(kafka, topic, range(200, 300))
    second = Instance(kafka, topic)
    second.source.resume_from(first.held)
    await second.source.start()
    try:
        await tick_until(lambda: len(second.seen) >= 100, second)
        await asyncio.sleep(0.5)
        await second.tick()
    finally:
        await second.source.stop()
    assert sorted(first.seen + second.seen) == list(range(300))


async def test_restart_without_state_goes_on_from_the_commit(kafka: KafkaServer) -> None:
    topic = "resume-commit"
    await first_run(kafka, topic)
    second = Instance(kafka, topic)
    await second.source.start()
    try:
        await tick_until(lambda: len(second.seen) >= 100, second)
        await asyncio.sleep(0.5)
        await second.tick()
    finally:
        await second.source.stop()
    assert sorted(second.seen) == list(range(100, 200))


@pytest.mark.parametrize("checkpoint_s", [0.0, 0.5], ids=["quick", "slow"])
async def test_rebalance_neither_loses_nor_doubles(kafka: KafkaServer, checkpoint_s: float) -> None:
    topic = f"rebalance-{checkpoint_s:.0e}".replace("+", "")
    await topics(kafka, topic)
    one = Instance(kafka, topic)
    two = Instance(kafka, topic)
    one.revoke_takes_s = two.revoke_takes_s = checkpoint_s
    await one.source.start()
    try:
        await produce(kafka, topic, range(200))
        await tick_until(lambda: len(one.seen) >= 200, one)

        stop = asyncio.Event()
        total = 200

        async def load() -> None:
            nonlocal total
            while not stop.is_set():
                await produce(kafka, topic, range(total, total + 8))
                total += 8
                await asyncio.sleep(0.02)

        loading = asyncio.create_task(load())
        await two.source.start()
        await tick_until(lambda: len(two.seen) >= 50, one, two)
        assert one.revoked >= 1
        stop.set()
        await loading
        try:
            everything = lambda: len(one.seen) + len(two.seen) >= total  # noqa: E731
            await tick_until(everything, one, two, within_s=10)
        except TimeoutError:
            missing = set(range(total)) - set(one.seen) - set(two.seen)
            pytest.fail(f"{len(missing)} of {total} samples lost: {sorted(missing)[:20]}")
        await asyncio.sleep(0.5)
        await one.tick()
        await two.tick()
    finally:
        await two.source.stop()
        await one.source.stop()
    assert sorted(one.seen + two.seen) == list(range(total))
