import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings
from testenv.kafka import KafkaServer
from testenv.skips import pytest_make_collect_report, pytest_runtest_makereport

# The same examples in every run, so that a failure is the change's; `explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", settings.get_profile("default"))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

UNIT_TESTS = "integration/test_deploy.py"
collect_ignore = [] if shutil.which("systemd-analyze") else [UNIT_TESTS]

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line(
            f"tests/{UNIT_TESTS} was left out: there is no systemd-analyze here", yellow=True
        )
