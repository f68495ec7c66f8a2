"""On CI a skipped test is a failed one: only what needs the public traces may be left out.

pytest calls a run green in which everything was skipped. These hooks turn such skips into
failures, so that pytest's own exit code tells, whatever else goes wrong in the run.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

MAY_SKIP = "traces"


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _refused(report: Report, node: pytest.Item | pytest.Collector) -> Report:
    if (
        os.environ.get("CI") == "true"
        and report.outcome == "skipped"
        and not hasattr(report, "wasxfail")
        and node.get_closest_marker(MAY_SKIP) is None
    ):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{node.nodeid} must not be skipped on CI: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _refused(report, item)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _refused(report, collector)
