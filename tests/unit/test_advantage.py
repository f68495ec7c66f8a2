"""When an accelerator may grow: each verdict, its sentence, and how long it must hold."""

from dataclasses import replace

import pytest

from poolwright.capacity.advantage import Case, Holding, judge
from poolwright.model.assessment import Alternative, Basis
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
