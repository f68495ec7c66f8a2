"""An accelerator that was granted and is lost: status and both pages of `explain` say so."""

import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.unit.capacity_bench import ACCELERATOR, FAST, RULES, Drive, Target
from tests.unit.learned_bench import ADVANTAGE, FOUND, decided

from poolwright.controller import Controller
from poolwright.model.decision import Decision, Outcome
from poolwright.model.pool import PoolReport
from poolwright.record.absence import Absence, Absent, absence_at, absent_since
from poolwright.record.advantage_view import advantage_rows
from poolwright.record.journal import Journal
from poolwright.record.pool_story import pool_story
from poolwright.record.status_view import status_view
from poolwright.rulefiles import load_sources
from poolwright.runtime.explaining import explain_from
from poolwright.runtime.status import pools_body

BOTH = load_sources({"chat.yaml": RULES.replace("\ntriggers:\n", ACCELERATOR, 1)})
GRANTED = replace(ADVANTAGE, granted=True)
RUNS_S, LOST_S = 300, 210


class Owner:
    def owns(self, service: str) -> bool:
        return service == "chat"


class Lost:
    """A service whose accelerator is granted, comes, and is lost; with its record."""

    def __init__(self, folder: Path) -> None:
        self.wse = Target("wse", speed=FAST, weight=6)
        self.drive = Drive(Controller(BOTH), Target("gpu", ready=2), self.wse)
        self.journal = Journal(folder / "journal.db")
        self.absent = Absent()
        self.run(RUNS_S)
        assert self.wse.ready >= 1

    def run(self, seconds: int) -> None:
        for decision in self.drive.run(seconds, 25.0):
            self.journal.record_tick(decision.at, [decision], BOTH)
            self.absent.note(decision)

    def lose(self, seconds: int = LOST_S) -> None:
        """What was ready is owed from now on, and never comes."""
        self.wse.starting = [math.inf] * self.wse.ready
        self.wse.ready = 0
        self.run(seconds)

    def pools(self) -> list[dict[str, Any]]:
        state = self.drive.controller._state
        return pools_body(BOTH, state, Owner(), self.absent, self.drive.at, {})

    def status(self) -> str:
        facts: dict[str, Any] = {"rules_revision": "r1", "reload_error": None}
        facts |= {
            "journal_error": None,
            "spans_dropped": 0,
            "ingest_behind": False,
            "telemetry_age_s": 1.0,
        }
        facts["lag"] = {}
        return text_of(status_view({"at": self.drive.at, "pools": self.pools()} | facts))

    def explained(self, which: str) -> str:
        out = Console(record=True, width=200, file=StringIO())
        assert explain_from(self.journal.path, which, out, self.drive.at, as_json=False)
        return out.export_text()


def text_of(what: object) -> str:
    out = Console(record=True, width=200, file=StringIO())
    out.print(what)
    return out.export_text()


@pytest.fixture
def lost(tmp_path: Path) -> Lost:
    return Lost(tmp_path)


def test_a_lost_accelerator_is_told_in_status_and_explain(lost: Lost) -> None:
    assert "none is ready" not in lost.status() + lost.explained("wse")
    lost.lose()
    (absence,) = (pool["absence"] for pool in lost.pools() if pool["pool"] == "wse")
    # Up to a heartbeat later than it happened: that is when a decision saw it.
    assert LOST_S - 30.0 <= absence["lasts_s"] <= LOST_S
    assert absence["carried_by"] == ("gpu",)
    told = f"none is ready for {round(absence['lasts_s'] / 60)} min: its load is with gpu"
    assert f"advantage granted, but {told}" in lost.status()
    newest = lost.journal.last_decision("wse")
    assert newest is not None
    for page in (lost.explained("wse"), lost.explained(newest.decision.id)):
        assert "granted, economic, but none is ready for" in page
        assert "min: its load is with gpu" in page
        assert "longer than a start takes" in page
    # A decision from before is told as of its own time.
    before = next(d for d in lost.drive.decisions if d.pool == "wse" and d.acts)
    assert "none is ready" not in lost.explained(before.id)


def test_while_it_may_still_start_nothing_is_said(lost: Lost) -> None:
    lost.lose(30)
    assert "none is ready" not in lost.status() + lost.explained("wse")


def test_one_that_comes_back_is_not_lost_any_more(lost: Lost) -> None:
    lost.lose()
    lost.wse.ready, lost.wse.starting = len(lost.wse.starting), []
    lost.run(40)
    assert "none is ready" not in lost.status() + lost.explained("wse")


def test_a_restart_takes_up_since_when(lost: Lost) -> None:
    lost.lose()
    again = Absent()
    again.recall(lost.journal, ["gpu", "wse"])
    assert again["wse"] == lost.absent["wse"] is not None
    assert again["gpu"] is None
    assert pool_story(lost.journal, "wse").absent_since == again["wse"]


def seen(number: int, told: int, ready: int | None, *, granted: bool) -> Decision:
    at = 1000.0 + 30.0 * number
    report = None if ready is None else PoolReport("wse", at, told, ready)
    advantage = replace(ADVANTAGE, granted=granted)
    made = decided(FOUND, advantage=advantage)
    inputs = replace(made.inputs, at=at, pool="wse", report=report)
    return replace(
        made, id=f"{number:032x}", at=at, pool="wse", current=told, desired=told, inputs=inputs
    )


def since_of(*decisions: Decision) -> float | None:
    absent = Absent()
    for decision in decisions:
        absent.note(decision)
    return absent["wse"]


def test_stock_that_is_refused_at_once_counts_as_told() -> None:
    """The order is refused before the next decision, which sees that it is told to have none."""
    asked = replace(seen(0, 0, 0, granted=True), desired=1, outcome=Outcome.SCALE_UP)
    assert since_of(asked, seen(1, 0, 0, granted=True)) == 1000.0
    assert since_of(asked, seen(1, 0, 0, granted=False)) is None


def test_a_pool_that_is_not_reported_stays_as_it_was() -> None:
    gone = seen(0, 1, 0, granted=True)
    assert since_of(gone, seen(1, 1, None, granted=True)) == 1000.0
    assert since_of(seen(0, 1, None, granted=True)) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([None, 0, 0, 1]), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_the_journal_says_the_same_as_what_was_seen_live(tmp_path_factory, sights) -> None:
    decisions = [seen(n, told, ready, granted=g) for n, (told, ready, g) in enumerate(sights)]
    journal = Journal(tmp_path_factory.mktemp("journal") / "journal.db")
    journal.record_tick(0.0, decisions, BOTH)
    for upto in range(1, len(decisions) + 1):
        last = decisions[upto - 1]
        assert absent_since(journal, "wse", last.at) == since_of(*decisions[:upto])
    journal.close()


def test_the_verdict_stays_and_names_who_has_the_load() -> None:
    absence = Absence(720.0, 300.0, ("gpu", "tpu"))
    rows = dict(advantage_rows(GRANTED, absence))
    assert rows["verdict"] == (
        "granted, economic, but none is ready for 12 min: its load is with gpu, tpu"
    )
    assert rows["absent"] == (
        "none is ready for longer than a start takes (5 min): look at its provider"
    )
    idle = replace(GRANTED, kind="", utilisation=0.1)
    alone = dict(advantage_rows(idle, replace(absence, carried_by=())))
    assert alone["verdict"].endswith("it would be idle too much, and none is ready for 12 min")


def test_without_the_rules_the_start_up_time_is_that_of_the_decision() -> None:
    made = seen(10, 1, 0, granted=True)
    assert absence_at(made, 1000.0, None) == Absence(300.0, FOUND.startup_s, ("gpu",))
    bare = replace(made, inputs=replace(made.inputs, assessments=()))
    assert absence_at(bare, 1000.0, None) is None
    (service,) = BOTH.services
    assert absence_at(bare, 1000.0, service) == Absence(300.0, 60.0, ("gpu",))


def test_a_record_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Its decisions may have no advantage and no report."""
    made = seen(0, 1, 0, granted=True)
    older = replace(made, inputs=replace(made.inputs, advantage=None, report=None))
    journal = Journal(tmp_path / "journal.db")
    journal.record_tick(0.0, [older], BOTH)
    assert absent_since(journal, "wse") is None
    assert msgspec.to_builtins(next(journal.history("wse")).inputs) == {
        "report": None,
        "advantage": None,
    }
