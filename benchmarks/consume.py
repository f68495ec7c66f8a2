"""What decoding and windows cost beside raw aiokafka, on the same topic in the same run.

Starts the real Kafka of testenv/, writes native events, and reads them three ways in turn: aiokafka
alone, the daemon's source (fetch and decode), and source plus windows. Prints messages per
CPU-second of this process and the ratio to raw aiokafka; the median of the rounds.
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from testenv.kafka import KafkaServer

from poolwright.clock import SystemClock
from poolwright.model.names import NameTable
from poolwright.settings import KafkaSettings
from poolwright.signals.store import WindowStore
from poolwright.telemetry.source import KafkaSource

TOPIC = "consume"


def event(i: int) -> bytes:
    """A request event of about 300 bytes."""
    return msgspec.json.encode(
        {
            "type": "request",
            "at": 1_700_000_000.0 + i / 5000,
            "service": "chat-70b",
            "pool": f"chat-70b-h100-{i % 2}",
            "replica": f"chat-70b-h100-7d9f8c6b5-{i % 24:05d}",
            "class": "interactive" if i % 3 else "batch",
            "input_tokens": 1000 + i % 4000,
            "output_tokens": 50 + i % 400,
            "ttft_s": 0.2 + i % 100 / 500,
            "itl_s": 0.02 + i % 50 / 5000,
            "e2e_s": 4.0 + i % 30,
            "status": "ok",
        }
    )


async def raw(bootstrap: str, count: int, round_: int) -> float:
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap, group_id=f"raw-{round_}", auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    started, seen = time.process_time(), 0
    while seen < count:
        for records in (await consumer.getmany(timeout_ms=50, max_records=2000)).values():
            seen += len(records)
    used = time.process_time() - started
    await consumer.stop()
    return seen / used


async def ours(bootstrap: str, count: int, round_: int, *, windows: bool) -> float:
    names = NameTable()
    settings = KafkaSettings(
        bootstrap=bootstrap, topics=[TOPIC], group=f"ours-{round_}-{windows}",
        dead_letter_topic=None,
    )  # fmt: skip
    source = KafkaSource(settings, SystemClock(), names, None)
    store = WindowStore(names)
    started, seen = time.process_time(), 0
    await source.start()
    while seen < count:
        fetched = await source.take()
        if fetched is None:
            await asyncio.sleep(0.005)
            continue
        seen += fetched.samples
        if windows:
            for batch in fetched.batches:
                store.ingest(batch, at=batch.newest_at or 0.0)
                store.advance(batch.newest_at or 0.0)
    used = time.process_time() - started
    await source.stop()
    return seen / used


async def main(count: int, rounds: int) -> None:
    with KafkaServer() as kafka:
        await kafka.create_topics(TOPIC, partitions=1)
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20) as producer:
            for i in range(count):
                await producer.send(TOPIC, event(i), key=b"chat-70b")
            await producer.flush()
        rates: dict[str, list[float]] = {"raw aiokafka": [], "source": [], "source + windows": []}
        for round_ in range(rounds):
            rates["raw aiokafka"].append(await raw(kafka.bootstrap, count, round_))
            rates["source"].append(await ours(kafka.bootstrap, count, round_, windows=False))
            rates["source + windows"].append(
                await ours(kafka.bootstrap, count, round_, windows=True)
            )
    base = statistics.median(rates["raw aiokafka"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:18} {rate:10,.0f} messages per CPU-second, ratio {rate / base:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    assert Path("testenv").is_dir(), "run it from the root of the checkout"
    asyncio.run(main(options.messages, options.rounds))
