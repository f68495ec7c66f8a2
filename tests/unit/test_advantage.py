"""When an accelerator may grow: each verdict, its sentence, and how long it must hold."""

from dataclasses import replace

import pytest

from poolwright.capacity.advantage import Case, Holding, judge
from poolwright.model.assessment import Alternative, Basis, Comparison
from poolwright.model.rule import AdvantageRule

RULE = AdvantageRule(economic=0.15, performance=0.30, held_for_s=600.0, min_utilisation=0.6)
CASE = Case(
    pool="wse",
    unreachable=(),
    without=Alternative("default pools", {"gpu": 30}, 120.0, 8.0, 0.0),
    with_it=Alternative("with wse", {"gpu": 5, "wse": 1}, 80.0, 5.3, 0.0),
    own_usd_per_hour=60.0,
    utilisation=0.8,
    basis=Basis.DECLARED,
    default_basis=Basis.MEASURED,
)  # it avoids 120 − (80 − 60) = 100 USD/h for 60
FIGURES = "it would cost 60.00 USD/h and avoid 100.00 USD/h, a margin of 40%"
SOURCE = "(wse declared, default pools measured)"


def verdict(case: Case = CASE, rule: AdvantageRule = RULE, *, granted: bool = False):
    return judge(case, rule, Holding(granted=granted), 1000.0)


def test_an_economic_advantage_is_told_in_figures() -> None:
    found = verdict()
    assert (found.kind, found.granted) == ("economic", False)
    assert found.margin == pytest.approx(0.4)
    assert found.why == (
        "it would cost 60.00 USD/h and avoid 100.00 USD/h, a margin of 40% at 80% utilisation "
        f"{SOURCE}; held for 0 s of 600 s"
    )
    assert (found.required, found.required_utilisation, found.required_s) == (0.15, 0.6, 600.0)
    assert [a.name for a in found.alternatives] == ["default pools", "with wse"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"own_usd_per_hour": 0.0}, f"it would take no replica of the default pools over {SOURCE}"),
        (
            {"with_it": replace(CASE.with_it, usd_per_hour=180.0)},
            f"it would take no replica of the default pools over {SOURCE}",
        ),
        (
            {"with_it": replace(CASE.with_it, usd_per_hour=115.0)},
            "it would cost 60.00 USD/h and avoid 65.00 USD/h, a margin of 8%, below 15% " + SOURCE,
        ),
        (
            {"utilisation": 0.4},
            f"{FIGURES}, but its utilisation of 40% is below 60% {SOURCE}",
        ),
        (
            {"utilisation": None},
            f"{FIGURES}, but its utilisation of unknown is below 60% {SOURCE}",
        ),
    ],
)
def test_what_speaks_against_it_is_said(changes, why) -> None:
    found = verdict(replace(CASE, **changes))
    assert (found.kind, found.granted, found.why) == ("", False, why)


def test_rules_without_an_economic_margin_allow_none() -> None:
    found = verdict(rule=replace(RULE, economic=None))
    assert found.kind == ""
    assert found.margin == pytest.approx(0.4)
    assert found.why.endswith(f"but the rules name no economic margin {SOURCE}")


def test_an_slo_that_no_default_pool_meets_is_an_advantage_at_any_price() -> None:
    unreachable = replace(CASE, unreachable=("fast", "faster"), own_usd_per_hour=5000.0)
    found = verdict(unreachable)
    assert (found.kind, found.margin) == ("performance", None)
    assert found.why.startswith("the default pools cannot meet the SLO of fast, faster (wse")
    # Unless the rules ask for no performance.
    assert verdict(unreachable, replace(RULE, performance=None)).kind == ""


def over_time(script, holding: Holding | None = None):
    holding = holding or Holding()
    return [judge(case, RULE, holding, float(at)) for at, case in script]


NONE = replace(CASE, utilisation=0.1)


def test_an_advantage_must_be_held_without_a_break() -> None:
    held = over_time([(0, CASE), (300, CASE), (599, CASE), (600, CASE)])
    assert [a.granted for a in held] == [False, False, False, True]
    assert held[2].why.endswith("held for 599 s of 600 s")
    broken = over_time([(0, CASE), (500, NONE), (501, CASE), (1100, CASE), (1101, CASE)])
    assert [a.granted for a in broken] == [False, False, False, False, True]


def test_it_is_lost_as_slowly_as_it_was_won() -> None:
    holding = Holding(granted=True, changed_at=100.0)
    lost = over_time([(1000, NONE), (1300, NONE), (1599, CASE), (1600, NONE), (2199, NONE),
                      (2200, NONE)], holding)  # fmt: skip
    assert [a.granted for a in lost] == [True, True, True, True, True, False]
    assert lost[1].why.endswith("; lost for 300 s of 600 s")
    assert lost[2].held_s == 1499.0
    assert lost[-1].held_s == 0.0
    assert "lost" not in lost[-1].why


def test_a_granted_advantage_is_kept_at_any_margin_above_zero() -> None:
    thin = replace(CASE, with_it=replace(CASE.with_it, usd_per_hour=115.0))
    assert verdict(thin).kind == ""
    assert verdict(thin, granted=True).kind == "economic"
    worse = replace(CASE, with_it=replace(CASE.with_it, usd_per_hour=125.0))
    assert verdict(worse, granted=True).why.startswith(
        "it would cost 60.00 USD/h and avoid 55.00 USD/h, a margin of -9%, below 0%"
    )


def test_a_granted_accelerator_may_be_a_little_less_used() -> None:
    less = replace(CASE, utilisation=0.5)
    assert verdict(less).kind == ""
    assert verdict(less, granted=True).kind == "economic"
    assert verdict(replace(CASE, utilisation=0.47), granted=True).kind == ""


def test_a_case_around_the_threshold_does_not_flip() -> None:
    thin = replace(CASE, with_it=replace(CASE.with_it, usd_per_hour=115.0))
    script = [(at, CASE if at % 60 else thin) for at in range(0, 7200, 30)]
    assert not any(a.granted for a in over_time(script))
    granted = over_time(script, Holding(granted=True, changed_at=0.0))
    assert all(a.granted for a in granted)


# --- measured p95 ------------------------------------------------------------------------------


def compared(margin: float | None, time: str = "itl") -> Comparison:
    p95_s = None if margin is None else 0.02 * (1.0 - margin)
    return Comparison("chat", time, 400, p95_s, "gpu", 900, 0.02, margin)


CHEAP = replace(CASE, with_it=replace(CASE.with_it, usd_per_hour=115.0))
"""It saves 8 %: less than the rules ask for."""
QUICKER = replace(CHEAP, comparisons=(compared(0.0, "ttft"), compared(0.9)))


def test_requests_that_were_quicker_waive_the_margin_of_cost() -> None:
    found = verdict(QUICKER)
    assert (found.kind, found.granted) == ("performance", False)
    assert found.margin == pytest.approx(0.077, abs=0.001)
    assert found.why == (
        "its measured p95 is better (itl of chat 0.002 s against 0.02 s of gpu, 90% less), "
        f"and it costs no more than it avoids {SOURCE}; held for 0 s of 600 s"
    )
    assert found.comparisons == QUICKER.comparisons
    assert found.required_p95_margin == 0.3
    # Also where the rules name no saving at all.
    assert verdict(QUICKER, replace(RULE, economic=None)).kind == "performance"


@pytest.mark.parametrize(
    "changes",
    [
        {"comparisons": ()},
        {"comparisons": (compared(0.29),)},
        {"comparisons": (compared(0.9), compared(-0.01, "ttft"))},
        {"comparisons": (compared(0.9), compared(None, "ttft"))},
        {"with_it": replace(CASE.with_it, usd_per_hour=120.1)},
        {"with_it": replace(CASE.with_it, usd_per_hour=180.0)},
        {"own_usd_per_hour": 0.0},
        {"utilisation": 0.59},
        {"utilisation": None},
    ],
    ids=["never ran", "too little", "one time is worse", "one time is unknown", "dearer",
         "takes nothing over", "none to be had", "idle", "use unknown"],
)  # fmt: skip
def test_being_quicker_permits_no_more_than_that(changes) -> None:
    found = verdict(replace(QUICKER, **changes))
    assert found.kind == ""
    assert "p95" not in found.why


def test_rules_that_name_no_performance_compare_nothing() -> None:
    found = verdict(QUICKER, replace(RULE, performance=None))
    assert (found.kind, found.required_p95_margin) == ("", None)


def test_what_the_default_pools_cannot_serve_may_cost_more() -> None:
    short = replace(QUICKER, without=replace(CASE.without, unserved=0.2), own_usd_per_hour=0.5,
                    with_it=replace(CASE.with_it, usd_per_hour=180.0))  # fmt: skip
    found = verdict(short)
    assert found.kind == "performance"
    assert "and it serves what the default pools cannot" in found.why
    assert verdict(replace(short, comparisons=())).kind == ""
    assert verdict(replace(short, utilisation=0.1)).kind == ""
    both = replace(short, with_it=replace(short.with_it, unserved=0.2))
    assert verdict(both).kind == "", "it helps nobody"


def test_the_stronger_ground_is_told() -> None:
    assert verdict(replace(CASE, comparisons=QUICKER.comparisons)).kind == "economic"
    unreachable = verdict(replace(QUICKER, unreachable=("chat",)))
    assert "cannot meet the SLO of chat" in unreachable.why


def test_four_fifths_of_the_margin_keep_what_is_granted() -> None:
    dear = replace(QUICKER, with_it=replace(CASE.with_it, usd_per_hour=119.0))
    without_saving = replace(RULE, economic=None)
    for margin, keeps in ((0.25, True), (0.23, False)):
        case = replace(dear, comparisons=(compared(margin),))
        assert verdict(case, without_saving).kind == ""
        found = verdict(case, without_saving, granted=True)
        assert bool(found.kind) == keeps
        assert found.granted, "it is lost only after a time"


def test_it_is_held_and_withdrawn_by_what_is_measured() -> None:
    rule, holding = replace(RULE, economic=None), Holding()
    slower = replace(QUICKER, comparisons=(compared(-0.4),))
    unknown = replace(QUICKER, comparisons=(compared(None),))
    script = [(0, QUICKER), (599, QUICKER), (600, QUICKER), (700, slower), (1000, unknown),
              (1299, slower), (1300, slower)]  # fmt: skip
    found = [judge(case, rule, holding, float(at)) for at, case in script]
    assert [a.granted for a in found] == [False, False, True, True, True, True, False]
    assert found[1].held_s == 599.0
    assert found[5].why.endswith("lost for 599 s of 600 s")


def test_what_is_dearer_is_given_back_however_quick_it_is() -> None:
    holding = Holding(granted=True, changed_at=0.0)
    dear = replace(QUICKER, with_it=replace(CASE.with_it, usd_per_hour=125.0))
    found = over_time([(1000, dear), (1599, dear), (1600, dear)], holding)
    assert [a.granted for a in found] == [True, True, False]
