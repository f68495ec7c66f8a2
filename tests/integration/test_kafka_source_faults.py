"""What a hostile or unlucky topic does to the consumer: nothing that lasts."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from testenv.kafka import KafkaServer

from poolwright.clock import SystemClock
from poolwright.messaging import outbox
from poolwright.model.names import NameTable
from poolwright.settings import KafkaSettings
from poolwright.telemetry.source import LEASE_S, Fetched, KafkaSource, TopicPartition

pytestmark = pytest.mark.kafka

SERVICES = frozenset({"chat"})


def arrival(number: int) -> bytes:
    return json.dumps(
        {"type": "arrival", "at": 1.7e9 + number, "service": "chat", "input_tokens": number}
    ).encode()


def settings(server: KafkaServer, *topics: str, dead: str | None = None) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=server.bootstrap,
        topics=list(topics),
        group=f"{topics[0]}-group",
        dead_letter_topic=dead,
        behind_after_s=5,
    )


@asynccontextmanager
async def running(kafka: KafkaSettings) -> AsyncIterator[KafkaSource]:
    source = KafkaSource(kafka, SystemClock(), NameTable(), SERVICES)
    await source.start()
    try:
        await until(lambda: source.joined)
        yield source
    finally:
        await source.stop()


async def until(done, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.02)


async def produce(server: KafkaServer, topic: str, values: list[bytes], **kinds) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=server.bootstrap, max_request_size=4 << 20
    ) as producer:
        sent = [await producer.send(topic, value, partition=0, **kinds) for value in values]
        await asyncio.gather(*sent)


async def take(source: KafkaSource, samples: int, within_s: float = 15.0) -> list[Fetched]:
    """What ticks take until so many samples have come."""
    taken: list[Fetched] = []
    async with asyncio.timeout(within_s):
        while sum(fetched.samples for fetched in taken) < samples:
            if (fetched := await source.take()) is not None:
                taken.append(fetched)
            await asyncio.sleep(0.02)
    return taken


async def committed(server: KafkaServer, topic: str) -> int | None:
    async with AIOKafkaConsumer(
        bootstrap_servers=server.bootstrap, group_id=f"{topic}-group", enable_auto_commit=False
    ) as consumer:
        return await consumer.committed(TopicPartition(topic, 0))


async def test_a_partition_that_comes_back_is_not_committed_backwards(kafka) -> None:
    topic = "no-way-back"
    await kafka.create_topics(topic)
    await produce(kafka, topic, [arrival(n) for n in range(10)])
    options = settings(kafka, topic)
    async with running(options) as first:
        await take(first, 10)
        early = {TopicPartition(topic, 0): 10}
        assert await first.commit(early)
    await produce(kafka, topic, [arrival(n) for n in range(10, 30)])
    async with running(options) as second:
        await take(second, 20)
        assert await second.commit({TopicPartition(topic, 0): 30})
    back = KafkaSource(options, SystemClock(), NameTable(), SERVICES)
    back.resume_from(early)
    await back.start()
    try:
        await until(lambda: back.joined)
        assert not await back.commit(early)  # its last checkpoint, before anything new came
        await produce(kafka, topic, [arrival(30)])
        await take(back, 1)
        assert not await back.commit(early)
        assert await committed(kafka, topic) == 30
        assert await back.commit({TopicPartition(topic, 0): 31})
    finally:
        await back.stop()
    assert await committed(kafka, topic) == 31


async def test_services_have_one_owner_with_topics_of_unlike_partitions(kafka) -> None:
    one, two = "owner-one", "owner-two"
    await kafka.create_topics(one, partitions=3)
    await kafka.create_topics(two, partitions=2)
    options = settings(kafka, one, two)
    names = [f"service-{n}" for n in range(40)]
    async with running(options) as first, running(options) as second:
        await until(lambda: first.joined and second.joined)
        owners = [(first.owns(name), second.owns(name)) for name in names]
    assert set(owners) == {(True, False), (False, True)}


async def test_services_of_topics_alike_come_to_their_owner_whole(kafka) -> None:
    one, two = "alike-one", "alike-two"
    await kafka.create_topics(one, two, partitions=3)
    options = settings(kafka, one, two)
    async with running(options) as first, running(options) as second:
        await until(lambda: first.joined and second.joined)
        for source in (first, second):
            numbers = {
                topic: {p.partition for p in source._offsets.assigned if p.topic == topic}
                for topic in (one, two)
            }
            assert numbers[one] == numbers[two]


async def test_a_flood_of_poison_costs_no_memory_and_stops_nobody(kafka, monkeypatch) -> None:
    monkeypatch.setattr(outbox, "CAPACITY_BYTES", 4 << 20)
    topic = "poison"
    await kafka.create_topics(topic)
    # Nobody serves the dead letters' topic: none of them can be written.
    async with running(settings(kafka, topic, dead="no-such-topic")) as source:
        await produce(kafka, topic, [b"\x00" * 900_000] * 40)
        await produce(kafka, topic, [arrival(1)], headers=[("traceparent", None)], key=b"chat")
        taken = await take(source, 1, within_s=30)
        letters = source.dead_letters
        assert sum(fetched.dead.get("undecodable", 0) for fetched in taken) == 40
        assert letters._queue.qsize() <= 4
        assert letters._bytes <= 4 << 20
        assert letters.dropped >= 35


async def test_an_array_of_poison_is_one_letter(kafka) -> None:
    topic = "array"
    await kafka.create_topics(topic, f"{topic}-dead")
    bad = {"type": "arrival", "at": 1.7e9, "service": "nobody"}
    value = json.dumps([bad] * 50 + [json.loads(arrival(1))]).encode()
    async with running(settings(kafka, topic, dead=f"{topic}-dead")) as source:
        await produce(kafka, topic, [value])
        (fetched,) = await take(source, 1)
        assert fetched.dead == {"unknown_service": 50}
        # The commit says that the letter is written: it would never be made again.
        assert await source.commit(fetched.offsets)
        async with AIOKafkaConsumer(
            f"{topic}-dead", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
        ) as consumer:
            end = await consumer.end_offsets([TopicPartition(f"{topic}-dead", 0)])
    assert list(end.values()) == [1]


async def test_consuming_pauses_while_nothing_takes(kafka, monkeypatch) -> None:
    monkeypatch.setattr("poolwright.telemetry.source.MAX_PENDING_BATCHES", 3)
    topic = "many-batches"
    await kafka.create_topics(topic)
    options = settings(kafka, topic).model_copy(update={"fetch_max_records": 1})
    async with running(options) as source:
        await produce(kafka, topic, [arrival(n) for n in range(20)])
        await until(lambda: len(source._pending) == 3)
        await asyncio.sleep(0.3)  # time to do wrong in
        assert len(source._pending) == 3
        assert sum(fetched.samples for fetched in await take(source, 20)) == 20


async def test_what_ends_consuming_ends_the_daemon(kafka, monkeypatch) -> None:
    topic = "ends"
    await kafka.create_topics(topic)
    async with running(settings(kafka, topic)) as source:

        def broken(*_arguments, **_more) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(source._decoder, "decode", broken)
        await produce(kafka, topic, [arrival(1)])
        with pytest.raises(ZeroDivisionError):
            await take(source, 1)


async def test_a_busy_partition_does_not_hide_that_another_is_behind(kafka, monkeypatch) -> None:
    monkeypatch.setattr("poolwright.telemetry.source.MAX_PENDING_BATCHES", 1)
    topic = "behind"
    await kafka.create_topics(topic, partitions=2)
    options = settings(kafka, topic).model_copy(update={"fetch_max_records": 1})
    now = SystemClock().now()

    async def send(partition: int, age_s: float, count: int) -> None:
        value = json.dumps({**json.loads(arrival(1)), "at": now - age_s}).encode()
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            for _ in range(count):
                await producer.send_and_wait(topic, value, partition=partition)

    async with running(options) as source:
        await send(0, 0.0, 1)
        await take(source, 1)
        assert not source.behind()
        await send(1, 600.0, 20)
        seen: list[bool] = []
        async with asyncio.timeout(15):
            samples = 0
            while samples < 20:
                fetched = await source.take()
                samples += 0 if fetched is None else fetched.samples
                seen.append(source.behind())
        age_s = source.telemetry_age_s()
    assert age_s is not None
    assert age_s < 5
    assert any(seen)
    assert not seen[-1]


async def test_an_instance_that_the_group_does_not_hear_is_not_in_it(kafka, monkeypatch) -> None:
    topic = "lease"
    await kafka.create_topics(topic)
    async with running(settings(kafka, topic)) as source:
        assert source.in_group()
        await until(lambda: source._confirmed_at is not None)
        joined_at = source._confirmed_at
        await until(lambda: source._confirmed_at != joined_at)  # a heartbeat was heard
        loop = asyncio.get_running_loop()
        source._confirmed_at = loop.time() - LEASE_S
        assert source.joined
        assert not source.in_group()


def test_the_partitioner_is_the_default_of_kafka_s_own_clients() -> None:
    # murmur2 as in Kafka's Java client, from its tests: Utils.murmur2("foobar") and others.
    partitioner = DefaultPartitioner()
    partitions = list(range(1000))
    found = [partitioner(key, partitions, partitions) for key in (b"21", b"foobar", b"abc")]
    hashes = [-973932308, -790332482, 479470107]
    assert found == [(value & 0x7FFFFFFF) % 1000 for value in hashes]
