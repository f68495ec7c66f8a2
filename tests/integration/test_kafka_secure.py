import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr
from testenv.kafka import KafkaServer

from poolwright.clock import SystemClock
from poolwright.errors import TelemetryError
from poolwright.messaging.connection import connection_options
from poolwright.model.names import NameTable
from poolwright.settings import KafkaSettings
from poolwright.telemetry.source import KafkaSource

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def secure(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    directory: Path = tmp_path_factory.mktemp("secure")
    with KafkaServer(directory, scram_user=("reader", "right")) as server:
        yield server


def settings(server: KafkaServer, password: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=server.secure_bootstrap,
        security="SASL_SSL",
        sasl_username="reader",
        sasl_password=SecretStr(password),
        ca_file=server.ca_file,
        topics=["secret"],
        dead_letter_topic=None,
    )


async def test_scram_over_tls_produces_and_consumes(secure: KafkaServer) -> None:
    await secure.create_topics("secret")
    options = connection_options(settings(secure, "right"))
    async with AIOKafkaProducer(**options) as producer:
        await producer.send_and_wait("secret", b"hello")
    async with (
        AIOKafkaConsumer("secret", auto_offset_reset="earliest", **options) as consumer,
        asyncio.timeout(20),
    ):
        assert (await consumer.getone()).value == b"hello"


async def test_wrong_password_says_what_to_check(secure: KafkaServer) -> None:
    source = KafkaSource(settings(secure, "wrong"), SystemClock(), NameTable(), None)
    with pytest.raises(TelemetryError, match="name and password of reader"):
        await source.start()
    await asyncio.sleep(0.5)  # TLS connections take a moment to close
