"""The seasons that a journal and Prometheus warm."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.integration.prometheus_server import NONE, Server, at_ends, matrix, serving
from tests.unit.history_bench import RULES, T0, recorded

from poolwright import rulefiles
from poolwright.clock import VirtualClock
from poolwright.decision import CoreState, load_state, new_state
from poolwright.decision.state import dump_state
from poolwright.forecasting.season import BIN_S
from poolwright.history.warming import keep_warm, warm
from poolwright.model.rule import RuleSet
from poolwright.record.journal import Journal
from poolwright.settings import Settings


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@dataclass
class Started:
    """What `warm` asks of the daemon."""

    settings: Settings
    clock: VirtualClock
    state: CoreState
    rules: RuleSet

    @property
    def season(self):
        return self.state.learners["chat"].demand.season

    def means(self, first: float, count: int) -> list[float]:
        return [float(self.season.means[int(first // BIN_S + n) % 2016]) for n in range(count)]


NOW = T0 + 3 * BIN_S + 60.0


def started(folder: Path, server: Server | None = None, **history: object) -> Started:
    url = None if server is None else server.url
    settings = Settings(data=folder, history={"prometheus_url": url, "days": 0.05, **history})
    rules = rulefiles.load_sources({"chat.yaml": RULES})
    Journal(folder / "journal.db").close()
    return Started(settings, VirtualClock(NOW), new_state(), rules)


async def test_prometheus_warms_what_is_unknown_and_ends_before_now(server, tmp_path) -> None:
    def answer(asked: dict[str, str]) -> tuple[int, str]:
        ends = range(int(asked["start"]), int(asked["end"]) + 1, BIN_S)
        return 200, matrix([(float(at), "4.0") for at in ends])

    server.answer = answer
    daemon = started(tmp_path, server)
    await warm(daemon)
    assert daemon.season.newest == T0 // BIN_S + 2
    # A whole number of the seventy minutes that were asked for, none of them in the future.
    assert float(server.asked[0]["end"]) == T0 + 3 * BIN_S
    assert int((~np.isnan(daemon.season.means)).sum()) == 7
    assert daemon.means(T0 - BIN_S, 4) == [4.0] * 4


async def test_the_journal_comes_first_and_prometheus_fills_the_rest(server, tmp_path) -> None:
    server.answer = lambda _: (200, matrix(at_ends(T0 - BIN_S, "4.0", "4.0", "NaN", "4.0")))
    daemon = started(tmp_path, server)
    recorded(tmp_path, 8.0, 600.0, 1230.0)
    await warm(daemon)
    assert daemon.means(T0 - BIN_S, 4) == [4.0, 4.0, 8.0, 4.0]


async def test_what_was_measured_live_is_kept_and_no_journal_is_read_for_it(
    server, tmp_path
) -> None:
    server.answer = lambda _: (200, matrix(at_ends(T0 - BIN_S, "4.0", "4.0", "4.0", "4.0")))
    before = started(tmp_path, server)
    await warm(before)
    before.season.put(int(T0 // BIN_S), 9.0)
    before.season.means[int(T0 // BIN_S + 1) % 2016] = np.nan
    recorded(tmp_path, 8.0, 0.0, 1830.0)
    daemon = started(tmp_path, server)
    daemon.state = load_state(dump_state(before.state))
    await warm(daemon)
    assert daemon.means(T0 - BIN_S, 4) == [4.0, 9.0, 4.0, 4.0]


async def test_failures_are_warnings(server, tmp_path, caplog) -> None:
    caplog.set_level(logging.WARNING, "poolwright")
    server.answer = lambda _: (503, "overloaded")
    daemon = started(tmp_path, server)
    (tmp_path / "journal.db").write_bytes(b"no journal" * 1000)
    await warm(daemon)
    assert daemon.season.newest is None
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("past demand cannot be read from the journal: ")
    assert second.startswith(f"past demand of chat cannot be read from Prometheus: {server.url}: ")


async def test_a_hanging_server_neither_stops_the_loop_nor_waits_for_ever(
    server, tmp_path, caplog
) -> None:
    caplog.set_level(logging.WARNING, "poolwright")
    hanging = threading.Event()

    def answer(_: dict[str, str]) -> tuple[int, str]:
        hanging.set()
        server.go_on.wait(30)
        return 200, NONE

    server.answer = answer
    daemon = started(tmp_path, server, timeout_s=0.5)
    warming = asyncio.create_task(warm(daemon))
    turns = 0
    while not warming.done():
        turns += 1
        await asyncio.sleep(0.005)
    await warming
    assert hanging.is_set()
    # The loop went on turning while the thread waited.
    assert turns > 20
    assert "from Prometheus" in caplog.text


async def test_a_service_that_left_meanwhile_is_left_alone(server, tmp_path) -> None:
    daemon = started(tmp_path, server)

    def answer(_: dict[str, str]) -> tuple[int, str]:
        daemon.state = new_state()
        return 200, matrix(at_ends(T0, "4.0"))

    server.answer = answer
    await warm(daemon)
    assert daemon.state.learners == {}


async def test_without_a_server_nothing_is_asked_and_the_loop_goes_on(tmp_path) -> None:
    daemon = started(tmp_path)
    recorded(tmp_path, 8.0, 0.0, 1830.0)
    loop = asyncio.create_task(keep_warm(daemon))
    async with asyncio.timeout(10):
        while not daemon.state.learners or daemon.season.newest is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    # The daemon ends when one of its loops does.
    done, _ = await asyncio.wait({loop}, timeout=0.05)
    assert not done
    loop.cancel()
    assert daemon.means(T0, 3) == [8.0] * 3
