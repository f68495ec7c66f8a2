"""What `slo` and `forecast` propose of an assessment, and what they refuse to."""

from dataclasses import replace

import pytest

from poolwright.model.assessment import Assessment, Basis, Capacity, Share
from poolwright.model.rule import ForecastTrigger, SloTrigger
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.triggers import TriggerMemory, View, evaluate

CAPACITY = Capacity(
    Basis.MEASURED, 0.01, 0.0002, 0.05, 0.0001, 0.02, 500.0, 0.8, 40.0, 4.0, 2.0, 4000.0, 1.0
)
FOUND = Assessment(
    "t", "chat", 0.0, True, CAPACITY, 8.0, 0.0, 4.0, 4.2, 4.2, 5.0, 6.3, 0.95, 180.0, 180.0, 0,
    7200.0, 0.2,
)  # fmt: skip
SLO = SloTrigger("t", "chat")
FORECAST = ForecastTrigger("t", None, 0.95)


def view(
    found: Assessment | None, *, share: Share | None = None, at: float = 0.0, current: int = 5
) -> View:
    stale = Signal("demand", SignalStatus.STALE, None, 90.0, 0, why=Unhealthy.TOO_OLD)
    assessments = {} if found is None else {"t": found}
    return View(at, current, 4, {"demand": stale}, {}, assessments, share)


def ask(trigger, found, memory=TriggerMemory(), **more):  # noqa: B008
    return evaluate(trigger, view(found, **more), memory)


def test_the_slo_asks_for_what_the_forecast_needs() -> None:
    proposal, _ = ask(SLO, FOUND)
    assert (proposal.kind, proposal.replicas, proposal.blind) == ("slo", 7, ("demand",))
    assert proposal.detail == "6.30 needed in 180 s at the 95.0% quantile, 4.00 now"
    assert proposal.evidence["upper"] == 6.3
    assert proposal.evidence["waiting"] == 0.0


def test_whole_needs_are_not_rounded_up_by_the_last_digit() -> None:
    assert ask(SLO, replace(FOUND, upper=6.0 + 1e-9))[0].replicas == 6


def test_a_queue_that_outlasts_a_startup_needs_replicas_of_its_own() -> None:
    # Four ready carry 8 a second, all of it taken: 720 must go in 180 s, 4 a second, 2 replicas.
    proposal, _ = ask(SLO, replace(FOUND, waiting=720.0))
    assert proposal.replicas == 9
    assert proposal.detail.endswith("2.00 for the queue")
    # With 4 a second to spare it is gone by then.
    assert ask(SLO, replace(FOUND, waiting=720.0, demand_per_s=4.0))[0].replicas == 7


def test_a_pool_that_carries_nothing_has_no_backlog_to_share() -> None:
    nothing = replace(CAPACITY, requests_per_s=0.0, meets=False)
    proposal, _ = ask(SLO, replace(FOUND, waiting=50.0, capacity=nothing))
    assert proposal.replicas == 7
    assert proposal.detail.endswith("no load of this pool meets the SLO of chat")


def test_with_little_history_the_level_asks_for_more_but_never_for_fewer() -> None:
    young = replace(FOUND, upper=None, expected=None, skill=None, history_s=60.0)
    assert ask(SLO, young)[0].replicas == 5
    proposal, _ = ask(SLO, replace(young, level=8.2))
    assert (proposal.replicas, "upper" in proposal.evidence) == (9, False)
    assert proposal.detail == "60 s of history are too little for a forecast"
    assert ask(SLO, replace(young, peak=6.2))[0].replicas == 7
    assert ask(SLO, replace(young, peak=6.2, carried_on=9.2))[0].replicas == 10


@pytest.mark.parametrize(("waiting", "wanted"), [(None, 5), (7.0, 5), (8.0, 6)])
def test_before_learning_only_a_queue_asks_for_more(waiting, wanted) -> None:
    proposal, _ = ask(SLO, replace(FOUND, learned=False, waiting=waiting))
    assert proposal.replicas == wanted
    assert proposal.detail.startswith("still learning (500 requests ended)")
    assert ("waiting" in proposal.evidence) == (waiting is not None)


@pytest.mark.parametrize(
    ("waiting", "history_s", "wanted"),
    [
        (240.0, 600.0, 8),
        (400.0, 600.0, 16),
        (240.0, 40.0, 16),
        (470.0, 600.0, 16),
        (600.0, 600.0, 16),
    ],
)
def test_before_learning_a_queue_says_what_the_ready_ones_can_take(
    waiting, history_s, wanted
) -> None:
    # Four are ready and 8 a second came: of 480 in the last minute they took 240, then 80 or fewer.
    young = replace(FOUND, learned=False, waiting=waiting, history_s=history_s)
    assert ask(SLO, young)[0].replicas == wanted


@pytest.mark.parametrize(("missed", "wanted"), [(None, 5), (0.09, 5), (0.25, 6)])
def test_before_learning_misses_ask_for_more_too(missed, wanted) -> None:
    proposal, _ = ask(SLO, replace(FOUND, learned=False, early_miss_rate=missed))
    assert proposal.replicas == wanted
    assert proposal.detail.endswith("25% of the first missed their SLO") == (wanted == 6)


@pytest.mark.parametrize(
    ("upper", "wanted"), [(0.0, 0), (0.001, 1), (1.0, 1), (3.1, 3), (3.16, 4), (7.0, 7)]
)
def test_what_is_hardly_beyond_a_whole_number_asks_for_no_replica_more(upper, wanted) -> None:
    assert ask(FORECAST, replace(FOUND, upper=upper))[0].replicas == wanted


def test_without_an_assessment_there_is_no_opinion() -> None:
    assert ask(SLO, None)[0].replicas is None
    assert ask(FORECAST, None)[0].replicas is None


def test_the_plan_over_pools_counts_where_it_names_a_number() -> None:
    planned = Share({"chat": 1.0}, 2, "cheapest with two")
    proposal, _ = ask(SLO, FOUND, share=planned)
    assert (proposal.replicas, proposal.detail) == (2, "cheapest with two")
    assert ask(SLO, FOUND, share=replace(planned, count=None))[0].replicas == 7


def test_a_forecast_is_advice_until_it_beats_the_naive_one() -> None:
    proposal, memory = ask(FORECAST, replace(FOUND, skill=0.04))
    assert (proposal.kind, proposal.replicas, memory.trusted) == ("forecast", None, False)
    assert proposal.detail.endswith("advice only, it would ask for 7")
    proposal, memory = ask(FORECAST, FOUND)
    assert (proposal.replicas, proposal.evidence["asked"], memory.trusted) == (7, 7.0, True)
    assert "loss is 20% below" in proposal.detail


def test_trust_once_earned_is_lost_below_the_naive_one() -> None:
    trusted = TriggerMemory(trusted=True)
    proposal, memory = ask(FORECAST, replace(FOUND, skill=0.04), trusted)
    assert (proposal.replicas, memory.trusted) == (7, True)
    proposal, memory = ask(FORECAST, replace(FOUND, skill=-0.1), memory)
    assert (proposal.replicas, memory.trusted) == (None, False)
    assert "loss is 10% above" in proposal.detail


@pytest.mark.parametrize("lack", [{"upper": None}, {"skill": None}, {"learned": False}])
def test_a_forecast_without_history_has_no_opinion_and_no_trust(lack) -> None:
    proposal, memory = ask(FORECAST, replace(FOUND, **lack), TriggerMemory(trusted=True))
    assert (proposal.replicas, memory.trusted) == (None, False)


def test_where_a_replica_was_wanted_back_the_next_is_given_up_later() -> None:
    # From 8 to 7 at the first minute, back to 8 at the second: the need hovers.
    _, memory = ask(SLO, replace(FOUND, upper=6.5), at=0.0, current=8)
    _, memory = ask(SLO, replace(FOUND, upper=6.5), at=60.0, current=7, memory=memory)
    proposal, memory = ask(SLO, replace(FOUND, upper=7.6), at=120.0, current=7, memory=memory)
    assert (proposal.replicas, memory.regretted_at) == (8, 120.0)
    again = replace(FOUND, upper=6.5)
    proposal, kept = ask(SLO, again, at=180.0, current=8, memory=memory)
    assert proposal.replicas == 8
    assert proposal.detail.endswith("; 8 kept, as the last one that was given up was wanted back")
    assert ask(SLO, replace(again, upper=6.2), at=180.0, current=8, memory=memory)[0].replicas == 7
    # An hour later as before, and a jump is no hovering.
    assert ask(SLO, again, at=3720.0, current=8, memory=kept)[0].replicas == 7
    _, memory = ask(SLO, replace(FOUND, upper=6.5), at=0.0, current=8)
    _, memory = ask(SLO, replace(FOUND, upper=6.5), at=60.0, current=7, memory=memory)
    _, memory = ask(SLO, replace(FOUND, upper=9.2), at=120.0, current=7, memory=memory)
    assert memory.regretted_at is None


def test_hardly_more_than_there_is_must_last_before_one_more_is_ordered() -> None:
    slightly = replace(FOUND, upper=7.3)
    proposal, memory = ask(SLO, slightly, at=0.0, current=7)
    assert (proposal.replicas, memory.slightly_short_since) == (7, 0.0)
    assert proposal.detail.endswith("; one more if that lasts")
    assert ask(SLO, slightly, at=19.0, current=7, memory=memory)[0].replicas == 7
    assert ask(SLO, slightly, at=20.0, current=7, memory=memory)[0].replicas == 8
    # A break begins it anew; clearly more is ordered at once.
    _, broken = ask(SLO, replace(FOUND, upper=6.9), at=10.0, current=7, memory=memory)
    assert broken.slightly_short_since is None
    assert ask(SLO, replace(FOUND, upper=7.6), at=0.0, current=7)[0].replicas == 8
    # What the plan over pools counts is no noise.
    planned = Share({"chat": 1.0}, 8, "cheapest with eight")
    assert ask(SLO, slightly, at=0.0, current=7, share=planned)[0].replicas == 8


@pytest.mark.parametrize(
    ("upper", "current", "wanted"),
    [(1.04, 2, 1), (1.06, 2, 2), (1.94, 3, 2), (1.96, 3, 3), (5.74, 7, 6), (5.76, 7, 7)],
)
def test_a_count_is_given_up_where_a_tenth_more_would_do_too(upper, current, wanted) -> None:
    assert ask(SLO, replace(FOUND, upper=upper), current=current)[0].replicas == wanted
