"""Panes say what the rows would say whose times are rounded up to whole seconds."""

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.signals.blocks import PANE_S
from poolwright.signals.panes import PaneTable, SavedTable
from poolwright.signals.sketch import RELATIVE_ERROR
from poolwright.signals.statistics import statistic

START = 1_700_000_000.0
OWNER = (3, 5)
STATS = ("count", "sum", "rate", "avg", "min", "max", "last", "slope")

values = st.none() | st.integers(1, 1000).map(lambda n: n / 8)
samples = st.lists(
    st.tuples(
        st.integers(0, 400).map(lambda n: START + n / 4),
        st.sampled_from([3, 4]),
        st.sampled_from([5, 6]),
        st.integers(0, 2),
        values,
    ),
    max_size=60,
)
cut_lists = st.lists(st.integers(0, 60), max_size=6)
instants = st.integers(0, 480).map(lambda n: START + n / 4)
kept_as_they_came = st.sampled_from([0, 1, 4, 1000])
windows = st.sampled_from([1.0, 2.5, 10.0, 45.0, 200.0])


def fill(table: PaneTable, found: list, cuts: list[int], reads: bool = False) -> PaneTable:
    edges = [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    for start, end in itertools.pairwise(edges):
        rows = found[start:end]
        numbers = np.array([(1.0, math.nan if r[4] is None else r[4]) for r in rows])
        ids = np.array([r[1:4] for r in rows], np.int32).reshape(-1, 3)
        table.add(np.array([r[0] for r in rows]), ids.T, numbers.reshape(-1, 2).T)
        if reads:
            table.window(OWNER, None, 1, START, START + 60.0)
    return table


@given(samples, cut_lists, instants, windows, st.none() | st.integers(0, 2), kept_as_they_came)
def test_panes_are_rows_with_times_rounded_up(found, cuts, at, window_s, only, most) -> None:
    table = fill(PaneTable(2, most_few=most), found, cuts)
    for metric in (0, 1):
        summary = table.window(OWNER, only, metric, at - window_s, at)
        rows = [
            (r[0], 1.0 if metric == 0 else r[4])
            for r in found
            if r[1:3] == OWNER
            and (only is None or r[3] == only)
            and at - window_s < math.ceil(r[0] / PANE_S) * PANE_S <= at
            and (metric == 0 or r[4] is not None)
        ]
        exact_at, numbers = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)
        ends = np.ceil(exact_at / PANE_S) * PANE_S
        assert summary.count == len(rows)
        assert summary.newest == max(exact_at, default=-math.inf)
        for stat in STATS:
            # The newest of a pane is known by its own time; a slope sees only the panes' ends.
            times = exact_at if stat == "last" else ends
            wanted = statistic(stat, times, numbers, window_s)
            assert summary.statistic(stat, window_s) == pytest.approx(
                wanted, rel=1e-9, abs=1e-9, nan_ok=True
            )
        for percent in (50, 95, 99):
            about = summary.statistic(f"p{percent}", window_s)
            if not rows:
                assert math.isnan(about)
                continue
            wanted = float(np.percentile(numbers, percent, method="inverted_cdf"))
            assert abs(about - wanted) <= RELATIVE_ERROR * wanted * (1 + 1e-9)


@given(samples, cut_lists, cut_lists, kept_as_they_came, kept_as_they_came)
def test_neither_cut_nor_reading_nor_how_it_is_kept_changes_a_bit(
    found, cuts, other_cuts, most, other_most
) -> None:
    one = fill(PaneTable(2, most_few=most), found, cuts)
    other = fill(PaneTable(2, most_few=other_most), found, other_cuts, reads=True)
    summaries = [table.window(OWNER, None, 1, START, START + 60.0) for table in (one, other)]
    for stat in (*STATS, "p50", "p95"):
        one, other = (repr(summary.statistic(stat, 60.0)) for summary in summaries)
        assert one == other


@given(samples, instants)
def test_the_newest_is_found_whatever_the_block(found, at) -> None:
    table = fill(PaneTable(2, most_few=4), found, [])
    times = [r[0] for r in found if r[1:3] == OWNER and math.ceil(r[0]) <= at]
    assert table.newest(OWNER, at) == max(times, default=-math.inf)


@given(samples, samples, cut_lists, kept_as_they_came)
def test_a_checkpoint_changes_nothing_of_what_comes_after(found, after, cuts, most) -> None:
    table = fill(PaneTable(2, most_few=most), found, cuts)
    loaded = PaneTable(2, most_few=most)
    loaded.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(table.save()), type=SavedTable))
    assert fill(loaded, after, []).save() == fill(table, after, []).save()
