"""Past demand: from the journal's decisions to a record, its season, and requests to play."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.history_bench import NAN, RULES, STALE, T0, said

from poolwright import rulefiles
from poolwright.errors import HistoryError, JournalError
from poolwright.forecasting.season import BIN_S
from poolwright.history import DemandRecord, draw, journal_records
from poolwright.history.drawing import VARIATION
from poolwright.history.record import season_bins
from poolwright.model.decision import Decision
from poolwright.model.rule import RuleSet
from poolwright.record.journal import Journal
from poolwright.runtime.replay import ORIGIN_S, replay
from poolwright.simulation.spec import plant_for
from poolwright.simulation.workloads import Workload


def record_of(tmp_path: Path, *decisions: Decision, since: float = 0.0) -> DemandRecord:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.record_tick(T0, decisions, RuleSet("r1", (), {}))
    journal.close()
    return journal_records(path, {"chat"}, since)["chat"]


def steady(until: float, *, begin: float = 30.0, **more: object) -> list[Decision]:
    """A word each half minute."""
    return [said(at, **more) for at in np.arange(begin, until, 30.0).tolist()]  # type: ignore[arg-type]


def test_a_row_is_a_minute_and_its_mean_request(tmp_path) -> None:
    record = record_of(
        tmp_path, said(30.0, 4.0), said(60.0, 5.0), said(90.0, 6.0), said(121.0, 7.0)
    )
    # A mean of the minute up to 60 s stands for 30 s; the last word in each row counts.
    assert (record.start, record.step_s) == (T0, 60.0)
    assert record.requests_per_s.tolist() == [5.0, 7.0]
    assert record.input_tokens.tolist() == [800.0, 800.0]
    assert record.output_tokens.tolist() == [100.0, 100.0]


def test_only_the_services_that_are_asked_for_and_only_since_then(tmp_path) -> None:
    record = record_of(
        tmp_path, *steady(600.0), said(45.0, 99.0, service="other"), since=T0 + 300.0
    )
    assert record.start == T0 + 240.0
    assert set(record.requests_per_s.tolist()) == {8.0}
    assert journal_records(tmp_path / "journal.db", {"nobody"}) == {}


def test_an_outage_and_the_minute_after_it_are_unknown_and_not_zero(tmp_path) -> None:
    words = [
        *steady(300.0),
        said(300.0, 0.1, signal=STALE),
        said(330.0, 0.0, signal=STALE),
        # Telemetry is back, and the mean of the minute still has the outage in it.
        *steady(600.0, begin=360.0),
    ]
    record = record_of(tmp_path, *words)
    assert record.requests_per_s[[0, 1, 2, 3]].tolist() == [8.0] * 4
    assert np.isnan(record.requests_per_s[4:6]).all()
    assert record.requests_per_s[-3:].tolist() == [8.0] * 3
    assert np.nanmin(record.requests_per_s) == 8.0


def test_ingest_that_was_behind_is_unknown(tmp_path) -> None:
    record = record_of(tmp_path, *steady(120.0), said(120.0, 1.0, behind=True))
    assert np.isnan(record.requests_per_s).tolist() == [False, True]


def test_a_time_without_decisions_is_a_gap(tmp_path) -> None:
    record = record_of(tmp_path, *steady(120.0), *steady(1200.0, begin=900.0))
    unknown = np.isnan(record.requests_per_s)
    # Minutes 2 to 13 have no word, and 14 is the one after the silence.
    assert np.flatnonzero(unknown).tolist() == list(range(2, 16))
    assert record.requests_per_s[~unknown].tolist() == [8.0] * (len(unknown) - 14)


def test_the_demand_of_a_service_is_that_of_its_pools(tmp_path) -> None:
    def both(**more: object) -> DemandRecord:
        for file in tmp_path.glob("journal.db*"):
            file.unlink()
        gpu = said(60.0, 6.0, shares={"chat": 0.75, "batch": 0.5})
        return record_of(tmp_path, gpu, said(61.0, pool="wse", **more))  # type: ignore[arg-type]

    # 6 a second for one pool and 3 for the other.
    record = both(per_s=3.0, shares={"chat": 0.25, "batch": 0.5}, tokens=(200.0, 400.0))
    assert record.requests_per_s.tolist() == [9.0]
    assert record.input_tokens.tolist() == [600.0]
    assert record.output_tokens.tolist() == [200.0]
    # Half of every class: the whole is twice as much, whatever the first has.
    assert both(per_s=5.0, shares={"chat": 0.5, "batch": 0.5}).requests_per_s.tolist() == [10.0]
    # A pool that carries nothing has no part in it; one that was not assessed leaves a hole.
    assert both(per_s=0.0, shares={"chat": 0.0, "batch": 0.0}).requests_per_s.tolist() == [6.0]
    assert both(per_s=None, shares={"chat": 0.0}).requests_per_s.tolist() == [6.0]
    assert np.isnan(both(per_s=None, shares={"chat": 0.25}).requests_per_s).all()


def test_the_only_class_needs_no_word_of_the_other_pool(tmp_path) -> None:
    record = record_of(
        tmp_path,
        said(60.0, 6.0, shares={"chat": 0.75}),
        said(61.0, None, pool="wse", shares={"chat": 0.25}),
    )
    assert record.requests_per_s.tolist() == [8.0]


def test_a_journal_of_an_older_version_knows_no_tokens(tmp_path) -> None:
    record = record_of(tmp_path, *steady(120.0, tokens=(None, None)))
    assert np.isnan(record.input_tokens).all()
    with pytest.raises(HistoryError, match="does not say how long prompts and answers were"):
        draw(record, 1)


def test_what_is_no_journal_and_what_cannot_be_decoded_is_told(tmp_path) -> None:
    with pytest.raises(JournalError, match="no journal here yet"):
        journal_records(tmp_path / "nowhere.db", {"chat"})
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.record_tick(T0, [said(30.0)], RuleSet("r1", (), {}))
    journal._db.execute("update decisions set body = ?", (msgspec.json.encode({"id": 1}),))
    journal.close()
    with pytest.raises(HistoryError, match="a decision cannot be read"):
        journal_records(path, {"chat"})


# --- the season ----------------------------------------------------------------------------


def rows(*per_s: float, start: float = T0, step_s: float = 60.0) -> DemandRecord:
    some = np.array(per_s)
    return DemandRecord(start, step_s, some, np.full(len(some), 800.0), np.full(len(some), 100.0))


def test_a_bin_is_known_when_most_of_it_is() -> None:
    known, unknown = [3.0] * 6 + [NAN] * 4, [3.0] * 5 + [NAN] * 5
    first, means = season_bins(rows(*known, *unknown, *[2.0, 4.0] * 5), until=T0 + 1e6)
    assert first == T0 // BIN_S
    assert means[0] == 3.0
    assert np.isnan(means[1])
    assert means[2] == 3.0
    assert np.isnan(means[3:]).all()


def test_the_bin_that_has_not_ended_is_left_to_what_is_measured() -> None:
    record = rows(*[3.0] * 30)
    assert len(season_bins(record, until=T0 + 1199.0)[1]) == 1
    assert len(season_bins(record, until=T0 - 1.0)[1]) == 0


def test_ten_minute_rows_are_bins_as_they_are() -> None:
    first, means = season_bins(rows(1.0, NAN, 0.0, step_s=600.0), until=T0 + 1800.0)
    assert first == T0 // BIN_S
    assert np.array_equal(means, [1.0, NAN, 0.0], equal_nan=True)


# --- requests to play ----------------------------------------------------------------------


def test_as_many_arrive_as_the_record_says_and_as_long_ones() -> None:
    workload = draw(rows(*[5.0] * 60, *[20.0] * 60), 1).workload
    expected = (5.0 + 20.0) * 3600
    assert len(workload.arrival_s) == pytest.approx(expected, rel=0.01)
    early = (workload.arrival_s < 3600).mean()
    assert early == pytest.approx(0.2, abs=0.01)
    assert (np.diff(workload.arrival_s) >= 0).all()
    for tokens, mean in ((workload.input_tokens, 800), (workload.output_tokens, 100)):
        assert tokens.mean() == pytest.approx(mean, rel=0.02)
        assert tokens.std() / tokens.mean() == pytest.approx(VARIATION, rel=0.05)
        assert tokens.min() >= 1
    # As random as independent arrivals: counts of a second vary as much as their mean.
    counts = np.bincount(workload.arrival_s[workload.arrival_s < 3600].astype(int))
    assert counts.var() == pytest.approx(counts.mean(), rel=0.1)


def test_the_same_seed_draws_the_same_and_another_one_does_not() -> None:
    one, same, other = (draw(rows(*[5.0] * 9), seed).workload for seed in (1, 1, 2))
    assert np.array_equal(one.arrival_s, same.arrival_s)
    assert np.array_equal(one.input_tokens, same.input_tokens)
    assert len(one.arrival_s) != len(other.arrival_s)


def test_gaps_are_left_out_and_counted_and_no_pause() -> None:
    drawn = draw(rows(NAN, 50.0, NAN, NAN, 50.0, 50.0, NAN, 50.0, NAN), 1)
    assert (drawn.gaps, drawn.left_out_s) == (2, 180.0)
    assert drawn.workload.duration_s == pytest.approx(240.0, abs=1.0)
    assert np.diff(drawn.workload.arrival_s).max() < 1.0
    whole = draw(rows(50.0, 0.0, 50.0), 1)
    # Nothing arrived is no gap: the pause is played.
    assert whole.gaps == 0
    assert np.diff(whole.workload.arrival_s).max() >= 60.0


def test_a_row_without_a_mean_request_has_that_of_all() -> None:
    record = rows(40.0, 40.0, 0.0)
    record.input_tokens[:] = 500.0, NAN, 9000.0
    drawn = draw(record, 1).workload
    second = drawn.input_tokens[drawn.arrival_s > 60.0]
    assert second.mean() == pytest.approx(500.0, rel=0.1)


def test_a_record_without_requests_is_refused() -> None:
    for record in (rows(NAN, NAN), rows(0.0, 0.0)):
        with pytest.raises(HistoryError, match="no requests"):
            draw(record, 1)
    # So few that none may come of it: an empty workload, as of an empty trace.
    assert len(draw(rows(1e-9), 1).workload.arrival_s) == 0


def test_the_newest_rows_of_a_record() -> None:
    record = rows(1.0, 2.0, 3.0)
    assert record.last(120.0).requests_per_s.tolist() == [2.0, 3.0]
    assert record.last(120.0).start == T0 + 60.0
    assert record.last(1e9).requests_per_s.tolist() == [1.0, 2.0, 3.0]


# --- from the first arrival to the journal and back ----------------------------------------


def test_what_a_replay_recorded_is_what_had_arrived(tmp_path) -> None:
    rules = rulefiles.load_sources({"chat.yaml": RULES})
    at = np.concatenate([np.arange(0, 600, 0.5), np.arange(600, 1200, 0.125)])
    workload = Workload(at, np.full(len(at), 800), np.full(len(at), 120))
    service = rules.services[0]
    result = replay(rules, service, workload, plant_for(service), drain_s=60.0)
    journal = Journal(tmp_path / "journal.db")
    journal.record_tick(0.0, result.decisions, rules)
    journal.close()
    record = journal_records(tmp_path / "journal.db", {"chat"})["chat"]

    def between(first: float, end: float) -> slice:
        start = ORIGIN_S - record.start
        return slice(int((start + first) // 60), int((start + end) // 60))

    assert record.requests_per_s[between(120, 540)] == pytest.approx(2.0, rel=0.1)
    assert record.requests_per_s[between(720, 1140)] == pytest.approx(8.0, rel=0.1)
    assert record.input_tokens[between(120, 1140)] == pytest.approx(800.0)
    assert record.output_tokens[between(720, 1140)] == pytest.approx(120.0)
