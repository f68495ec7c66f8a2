"""`slo` and `forecast` triggers through the public API: what they do in a service's life."""

import pytest
from tests.unit.capacity_bench import ACCELERATOR, FAST, RULES, START, Drive, Target

from poolwright.capacity.speed import Speed
from poolwright.controller import Controller
from poolwright.model.assessment import Basis
from poolwright.model.decision import Decision, Outcome, Reason
from poolwright.rulefiles import load_sources

FORECAST = RULES.replace("{name: meet-slo, slo: chat}", "{name: ahead, forecast: {quantile: 0.9}}")


def drive(text: str = RULES, *, ready: int = 2, **target) -> Drive:
    return Drive(Controller.from_sources({"chat.yaml": text}), Target("gpu", ready=ready, **target))


def details(decisions: list[Decision]) -> list[str]:
    return [proposal.detail for d in decisions for proposal in d.proposals]


def acts(decisions: list[Decision]) -> list[tuple[int, int]]:
    return [(d.current, d.desired) for d in decisions if d.acts]


def test_before_any_telemetry_there_is_no_opinion() -> None:
    seen = drive().run(40, 0.0, telemetry=False)
    assert {(d.outcome, d.reason) for d in seen} == {(Outcome.BLOCKED, Reason.TELEMETRY_UNHEALTHY)}
    assert set(details(seen)) == {"no demand of chat seen"}


def test_nothing_shrinks_before_enough_is_known() -> None:
    # Far too many replicas for one request every two seconds: too few requests are learned from.
    driven = drive(ready=9)
    seen = driven.run(100, 0.5)
    assert acts(seen) == []
    assert any(text.startswith("still learning (") for text in details(seen))
    # Learned, but the history is too short for a forecast: still not fewer.
    seen = driven.run(130, 1.5)
    assert acts(seen) == []
    assert "s of history are too little for a forecast" in details(seen)[-1]
    # Both known: one at a time, as the limits say.
    seen = driven.run(400, 1.5)
    assert acts(seen)[:2] == [(9, 8), (8, 7)]


def test_a_queue_before_learning_asks_for_half_as_many_again() -> None:
    seen = drive(ready=4, startup_s=600.0).run(30, 0.5, waiting=3.0)
    assert acts(seen) == [(4, 6)]
    assert "still learning" in details(seen)[-1]
    assert details(seen)[-1].endswith("and 12 requests wait")
    assert acts(drive(ready=4).run(30, 0.5, waiting=1.0)) == []


def test_a_rise_is_answered_at_once() -> None:
    driven = drive()
    driven.run(600, 6.0)
    up = driven.run(60, 24.0)
    assert up[0].at - START < 650
    first = next(d for d in up if d.acts)
    assert first.outcome is Outcome.SCALE_UP
    assert first.proposals[0].detail.endswith("now")
    evidence = first.proposals[0].evidence
    assert {"need", "level", "upper", "expected", "carried_per_s", "waiting"} <= set(evidence)


def test_the_first_request_is_no_jump_of_demand() -> None:
    driven = drive()
    driven.run(600, 0.0)
    driven.run(400, 12.0)
    found = driven.run(60, 12.0)[-1].inputs.assessments[0]
    assert found.upper < 1.3 * found.need
    # Nor when the silence before it is about to leave what is remembered.
    found = driven.run(2800, 12.0)[-1].inputs.assessments[0]
    assert found.upper < 1.3 * found.need


def test_a_fall_is_followed() -> None:
    driven = drive()
    driven.run(700, 24.0)
    settled = driven.pools[0].ready
    driven.run(60, 6.0)
    changes = [decision for decision in driven.run(600, 6.0) if decision.acts]
    assert changes[-1].outcome is Outcome.SCALE_DOWN
    assert driven.pools[0].ready < settled


def test_lost_telemetry_blocks_shrinking_and_is_no_quiet() -> None:
    driven = drive()
    usual = driven.run(800, 12.0)[-1].inputs.assessments[0].upper
    before = driven.pools[0].ready
    blind = driven.run(900, 12.0, telemetry=False)
    assert acts(blind) == []
    assert driven.pools[0].ready == before
    late = blind[-1]
    assert late.proposals[0].blind == ("demand",)
    assert late.reason in {Reason.TELEMETRY_UNHEALTHY, Reason.STEADY}
    (found,) = late.inputs.assessments
    assert found.demand_per_s == 0.0
    # But for its first seconds the outage is unknown, not quiet: the forecast goes on.
    assert found.upper > 0.6 * usual
    back = driven.run(60, 12.0)
    assert acts(back) == []
    assert back[-1].inputs.assessments[0].upper == pytest.approx(usual, rel=0.2)


def test_a_quiet_gateway_beside_reporting_replicas_is_no_outage() -> None:
    driven = drive()
    driven.run(400, 12.0)
    before = driven.pools[0].ready
    seen = driven.run(1500, 0.0, running=0.0)
    assert driven.pools[0].ready < before
    assert seen[-1].inputs.assessments[0].need == 0.0


def test_an_slo_that_no_load_meets_is_said() -> None:
    strict = RULES.replace("itl: 50ms", "itl: 9ms")
    seen = drive(strict).run(300, 2.0)
    assert details(seen)[-1].endswith("; no load of this pool meets the SLO of chat")
    assert not seen[-1].inputs.assessments[0].capacity.meets


def test_a_slower_fleet_is_told_as_drift_and_gets_more_replicas() -> None:
    driven = drive(ready=3)
    driven.run(600, 6.0)
    before = driven.decisions[-1].inputs.assessments[0]
    speed = driven.pools[0].speed
    driven.pools[0].speed = type(speed)(*(2.0 * getattr(speed, n) for n in speed.__slots__))
    driven.run(900, 6.0)
    after = driven.decisions[-1].inputs.assessments[0]
    drifts = [a.capacity.drift for d in driven.decisions for a in d.inputs.assessments]
    assert drifts[0] == ""
    assert any(words.startswith("requests take 1.") for words in drifts)
    assert after.capacity.requests_per_s < 0.75 * before.capacity.requests_per_s
    assert after.need > 1.3 * before.need


def test_start_up_times_are_measured() -> None:
    driven = drive(startup_s=25.0)
    driven.run(400, 4.0)
    assert driven.decisions[-1].inputs.assessments[0].startups == 0
    assert driven.decisions[-1].inputs.assessments[0].startup_s == 60.0
    driven.run(300, 40.0)
    found = driven.decisions[-1].inputs.assessments[0]
    assert found.startups >= 5
    assert found.startup_s == pytest.approx(25.0, abs=2.0)


# --- forecast ----------------------------------------------------------------------------------


def test_a_forecast_with_skill_is_a_floor_and_no_reason_to_shrink() -> None:
    driven = drive(FORECAST, ready=2)
    seen = driven.run(120, 8.0)
    assert set(details(seen)) == {"too little history for a forecast"}
    assert seen[-1].reason is Reason.NO_OPINION
    # A rate that goes up and down: the mean of the past beats the last value.
    for _ in range(10):
        driven.run(40, 16.0)
        driven.run(40, 4.0)
    trusted = [d for d in driven.decisions if d.proposals[0].replicas is not None]
    assert acts(trusted)
    found = trusted[-1].proposals[0]
    assert found.evidence["asked"] == found.replicas
    assert found.evidence["skill"] > 0.0
    driven.run(900, 0.5)
    assert all(d.outcome is not Outcome.SCALE_DOWN for d in driven.decisions)


# --- several pools -----------------------------------------------------------------------------


def fleet(**wse) -> Drive:
    text = RULES.replace("\ntriggers:\n", ACCELERATOR, 1)
    controller = Controller.from_sources({"chat.yaml": text})
    accelerator = Target("wse", weight=6, **({"speed": FAST} | wse))
    return Drive(controller, Target("gpu", ready=2), accelerator)


def of(driven: Drive, pool: str) -> list[Decision]:
    return [d for d in driven.decisions if d.pool == pool]


def test_an_accelerator_waits_for_its_advantage_and_is_handed_back() -> None:
    driven = fleet()
    gpu, wse = driven.pools
    # Too little: a single GPU is enough.
    driven.run(250, 2.0)
    first = of(driven, "wse")[-1].inputs.advantage
    assert first is not None
    assert (first.granted, wse.ready) == (False, 0)
    # Much: it avoids more GPUs than it costs, and has to hold.
    driven.run(400, 20.0)
    grown = next(d for d in of(driven, "wse") if d.outcome is Outcome.SCALE_UP)
    assert grown.inputs.advantage is not None
    assert (grown.inputs.advantage.granted, grown.inputs.advantage.kind) == (True, "economic")
    assert grown.inputs.share is not None
    assert grown.inputs.share.count == grown.desired
    assert "cheapest mix" in grown.proposals[0].detail
    before = [d.inputs.advantage for d in of(driven, "wse") if d.at < grown.at]
    waits = [advantage.why for advantage in before if advantage is not None]
    assert any("held for" in why for why in waits)
    assert wse.ready >= 1
    # Its price rises: the GPUs take over, and it is released once they are ready.
    dearer = RULES.replace("\ntriggers:\n", ACCELERATOR.replace("10 USD/h", "90 USD/h"), 1)
    driven.controller.use_rules(load_sources({"chat.yaml": dearer}))
    before = gpu.ready
    driven.run(25, 20.0)
    assert (gpu.ready, wse.ready) == (before, 1)
    driven.run(275, 20.0)
    assert wse.ready == 0
    released = next(d for d in of(driven, "wse") if d.outcome is Outcome.SCALE_DOWN)
    raised = [d for d in of(driven, "gpu") if d.outcome is Outcome.SCALE_UP and d.desired > before]
    assert raised[0].at <= released.at - gpu.startup_s


def test_an_accelerator_that_turns_out_slow_is_withdrawn() -> None:
    driven = fleet(speed=Speed(0.200, 0.0001, 0.002, 0.00002))
    driven.run(150, 20.0, outputs=20.0)
    assert any(d.outcome is Outcome.SCALE_UP for d in of(driven, "wse"))
    driven.run(450, 20.0, outputs=20.0)
    assert driven.pools[1].ready == 0
    last = of(driven, "wse")[-1].inputs
    assert last.advantage is not None
    assert not last.advantage.granted
    assert last.advantage.basis is Basis.MEASURED
    # At a batch that never varies the parts cannot be told apart; what it carries can.
    assert last.assessments[0].capacity.requests_per_s < 3.0


def test_one_that_was_measured_to_be_quicker_grows_as_the_plan_has_it_and_is_given_back() -> None:
    # No saving is reason enough by these rules; one replica runs anyway.
    quicker = ACCELERATOR.replace("economic: 15%, ", "").replace("min: 0", "min: 1")
    text = RULES.replace("\ntriggers:\n", quicker, 1)
    controller = Controller.from_sources({"chat.yaml": text})
    accelerator = Target("wse", speed=FAST, weight=6, ready=1)
    driven = Drive(controller, Target("gpu", ready=2), accelerator)
    driven.run(300, 30.0, outputs=400.0)
    assert acts(of(driven, "wse")) == [(1, 2)]
    grown = next(d for d in of(driven, "wse") if d.acts)
    found = grown.inputs.advantage
    assert found is not None
    assert (found.granted, found.kind) == (True, "performance")
    assert found.why.startswith("its measured p95 is better (itl of chat 0.02 s against 0.24 s")
    assert grown.inputs.share is not None
    assert grown.inputs.share.count == 2
    assert min(one.requests for one in found.comparisons) > 100
    # As quick as before, and dearer than the GPU that little demand needs.
    driven.run(600, 2.0, outputs=400.0)
    assert acts(of(driven, "wse")) == [(1, 2), (2, 1)]
    found = of(driven, "wse")[-1].inputs.advantage
    assert found is not None
    assert (found.granted, found.kind) == (False, "")
    assert all((one.margin or 0.0) > 0.3 for one in found.comparisons)
