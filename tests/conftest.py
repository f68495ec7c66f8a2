from collections.abc import Iterator

import pytest
from testenv.kafka import KafkaServer
from testenv.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["kafka", "pytest_make_collect_report", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A real broker; its absence is a skip that says so, and on CI a failure."""
    server = KafkaServer()
    try:
        server.__enter__()
    except Exception as error:  # noqa: BLE001  whatever it is, it is told
        pytest.skip(f"no real Kafka could be started here, NOT TESTED: {error}")
    try:
        yield server
    finally:
        server.__exit__(None, None, None)
