import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from testenv.kafka import KafkaServer, KafkaServerError, free_port, port_answers

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
CODEC_BITS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


async def produce(bootstrap: str, topic: str, values: list[bytes], codec: str | None) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type=codec, acks="all", linger_ms=50
    )
    await producer.start()
    try:
        sent = [await producer.send(topic, value, partition=0) for value in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def stored_codecs(server: KafkaServer, topic: str) -> set[int]:
    """The codec of every record batch in the log on disk, from the low bits of its attributes."""
    data = (server.data_dir / "log" / f"{topic}-0" / f"{0:020}.log").read_bytes()
    found = set()
    while data:
        found.add(int.from_bytes(data[21:23], "big") & 0x07)
        data = data[12 + int.from_bytes(data[8:12], "big") :]
    return found


@pytest.mark.parametrize("codec", sorted(CODEC_BITS))
async def test_codec_is_stored_and_read_back(kafka: KafkaServer, codec: str) -> None:
    topic = f"codec-{codec}"
    await kafka.create_topics(topic)
    values = [f"{codec} {n} ".encode() * 40 for n in range(200)]
    await produce(kafka.bootstrap, topic, values, codec)
    assert stored_codecs(kafka, topic) == {CODEC_BITS[codec]}
    assert await consume(kafka.bootstrap, topic, len(values)) == values


async def test_kill_9_and_restart_keep_committed_data(kafka: KafkaServer) -> None:
    topic = "survives"
    await kafka.create_topics(topic)
    before = [f"before {n}".encode() for n in range(500)]
    await produce(kafka.bootstrap, topic, before, "lz4")
    pid, bootstrap = kafka.pid, kafka.bootstrap
    assert pid is not None
    kafka.kill()
    assert not kafka.running
    assert not port_answers(kafka.port)
    kafka.start()
    assert kafka.bootstrap == bootstrap
    assert kafka.pid != pid
    after = [b"after"]
    await produce(bootstrap, topic, after, None)
    assert await consume(bootstrap, topic, len(before) + 1) == before + after


def test_busy_port_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(KafkaServerError, match=f"port {port} already answers"):
            KafkaServer(tmp_path / "data", port=port).start()


def test_foreground_runs_until_terminated() -> None:
    port = free_port()
    command = [sys.executable, "-m", "testenv.kafka", "--port", str(port), "--topic", "telemetry:3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"Kafka answers on 127.0.0.1:{port}" in process.stdout.readline()
            assert port_answers(port)
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert not port_answers(port)
