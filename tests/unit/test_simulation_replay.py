"""Replay: faults act, the core hears how orders went, two runs are the same byte for byte."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from poolwright import rulefiles
from poolwright.model.decision import Decision, Outcome
from poolwright.model.pool import ActionStatus
from poolwright.runtime.orders import Orders
from poolwright.runtime.replay import ORIGIN_S, ReplayResult, decision_lines, replay
from poolwright.runtime.replaying import ReplayOptions, replay_trace
from poolwright.settings import ACTION_DEADLINE_S, CONFIRM_TIMEOUT_S
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec, plant_for
from poolwright.simulation.workloads import TraceError, Workload

RULES = rulefiles.load_sources(
    {
        "chat.yaml": """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s}
  batch: {e2e: 10m}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 2, max: 8}
    price: 5 USD/h
    startup: 60s
signals:
  running: {metric: requests_running, across: sum, stat: avg, window: 30s}
triggers:
  - {name: concurrency, target: {signal: running, per_replica: 4}}
"""
    }
)
SERVICE = RULES.services[0]


def steady(minutes: float, per_second: float, classes: tuple[str, ...] | None = None) -> Workload:
    count = int(minutes * 60 * per_second)
    at = np.arange(count) / per_second
    named = None if classes is None else tuple(classes[i % len(classes)] for i in range(count))
    return Workload(at, np.full(count, 500), np.full(count, 300), named)


def run(*faults: Fault, workload: Workload | None = None) -> ReplayResult:
    (pool,) = plant_for(SERVICE).pools
    spec = PlantSpec("chat", (PoolSpec("gpu", startup_s=pool.startup_s, faults=faults),))
    return replay(RULES, SERVICE, workload or steady(10, 4), spec, drain_s=300.0)


def acts(result: ReplayResult) -> list[Decision]:
    return [decision for decision in result.decisions if decision.acts]


def test_the_same_replay_twice_gives_the_same_bytes():
    faults = (Fault(200.0, FaultKind.REPLICA_DIES), Fault(300.0, FaultKind.STOCKOUT, 60.0))
    first, second = run(*faults), run(*faults)
    assert decision_lines(first.decisions) == decision_lines(second.decisions)
    assert acts(first)
    assert first.replica_seconds["gpu"] > 2 * 1500
    assert first.cost_usd == {"gpu": 0.0}


def test_a_stockout_holds_the_pool_where_it_was_and_the_core_waits_before_it_asks_again():
    result = run(Fault(0.0, FaultKind.STOCKOUT, 600.0))
    ups = [d for d in acts(result) if d.outcome is Outcome.SCALE_UP and d.at < ORIGIN_S + 600]
    assert {d.current for d in ups} == {2}
    assert 2 <= len(ups) < 20
    held = [d.reason for d in result.decisions if ORIGIN_S < d.at < ORIGIN_S + 600]
    assert "stock" in " ".join(held)


def test_while_the_api_is_unreachable_nothing_changes_and_then_it_does():
    silent = Fault(0.0, FaultKind.API_UNREACHABLE, 400.0)
    calm, troubled = run(), run(silent)
    assert any(d.at < ORIGIN_S + 300 for d in acts(calm))
    assert troubled.replica_seconds["gpu"] < calm.replica_seconds["gpu"]
    assert any(d.at > ORIGIN_S + 400 for d in acts(troubled))


def test_a_lost_pool_costs_attainment_which_counts_what_was_never_served():
    result = run(Fault(300.0, FaultKind.POOL_LOST, 3600.0))
    assert result.ended < result.requests
    assert result.overdue == result.requests - result.ended
    assert 0.3 < result.attainment["interactive"] < 0.6


def test_slow_replicas_are_made_up_for_by_more_of_them():
    slow = run(Fault(0.0, FaultKind.SLOW, 900.0, 3.0))
    assert slow.latency["itl_p50_s"] > 2 * run().latency["itl_p50_s"]
    assert max(d.desired for d in acts(slow)) > max(d.desired for d in acts(run()))


def test_requests_of_several_classes_are_judged_each_by_its_own_objective():
    result = run(workload=steady(5, 2, ("interactive", "batch")))
    assert set(result.attainment) == {"interactive", "batch"}
    with pytest.raises(TraceError, match="class gold"):
        run(workload=steady(1, 1, ("gold",)))


def test_progress_is_told_up_to_the_end():
    seen: list[tuple[float, float]] = []
    replay(
        RULES,
        SERVICE,
        steady(1, 1),
        plant_for(SERVICE),
        drain_s=30.0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) > 5
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def decision(name: str, current: int, desired: int) -> Decision:
    template = acts(run())[0]
    return replace(template, id=name, current=current, desired=desired)


def orders(*faults: Fault, **pool) -> tuple[Plant, Orders]:
    spec = PoolSpec("gpu", startup_s=60.0, startup_jitter=0.0, faults=faults, **pool)
    plant = Plant(PlantSpec("chat", (spec,)), seed=1, starts_at=0.0)
    plant.set_replicas("gpu", 1, at=0.0)
    return plant, Orders(plant)


def told(plant: Plant, made: Orders, seconds: range) -> list[tuple[float, str, str]]:
    found = []
    for at in seconds:
        plant.advance(float(at))
        found += [(r.at, r.status.value, r.cause) for r in made.advance(float(at))]
    return found


def test_an_order_is_done_at_once_and_confirmed_with_the_measured_start():
    plant, made = orders()
    plant.advance(100.0)
    first = made.submit(decision("a", 1, 3), 100.0)
    assert [r.status for r in first] == [ActionStatus.STARTED, ActionStatus.DONE]
    assert told(plant, made, range(101, 300)) == [(160.0, "confirmed", "")]
    down = made.submit(decision("b", 3, 1), 300.0)
    assert [r.status for r in down] == [ActionStatus.STARTED, ActionStatus.DONE]
    assert told(plant, made, range(301, 310)) == [(301.0, "confirmed", "")]


def test_an_unreachable_api_is_tried_until_the_deadline_or_until_it_answers():
    plant, made = orders(
        Fault(100.0, FaultKind.API_UNREACHABLE, 10.0), Fault(200.0, FaultKind.API_UNREACHABLE, 99.0)
    )
    plant.advance(100.0)
    assert [r.status for r in made.submit(decision("a", 1, 2), 100.0)] == [ActionStatus.STARTED]
    assert told(plant, made, range(101, 190))[0] == (110.0, "done", "")
    plant.advance(200.0)
    made.submit(decision("b", 2, 3), 200.0)
    end = (200.0 + ACTION_DEADLINE_S, "given_up", "unreachable")
    assert told(plant, made, range(201, 299)) == [end]


def test_a_short_stock_refuses_and_a_newer_decision_supersedes():
    plant, made = orders(Fault(300.0, FaultKind.API_UNREACHABLE, 99.0), stock=2)
    plant.advance(100.0)
    reports = made.submit(decision("a", 1, 3), 100.0)
    assert [(r.status.value, r.cause) for r in reports][1:] == [("refused", "no_capacity")]
    made.submit(decision("b", 1, 2), 101.0)
    newer = made.submit(decision("c", 2, 1), 102.0)
    assert (newer[0].decision_id, newer[0].status.value) == ("b", "given_up")
    told(plant, made, range(103, 300))
    plant.advance(300.0)
    made.submit(decision("d", 1, 2), 300.0)
    newest = made.submit(decision("e", 1, 1), 301.0)
    assert (newest[0].decision_id, newest[0].status.value, newest[0].cause) == (
        *("d", "refused"),
        "superseded",
    )


def test_replicas_that_do_not_come_end_the_action():
    plant, made = orders(Fault(130.0, FaultKind.POOL_LOST, 5000.0))
    plant.advance(100.0)
    made.submit(decision("a", 1, 2), 100.0)
    end = (100.0 + CONFIRM_TIMEOUT_S, "given_up", "not_ready_in_time")
    assert told(plant, made, range(101, 1100)) == [end]


def test_the_example_rules_and_plant_replay_a_short_trace_from_the_command_line(tmp_path, capsys):
    root = Path(__file__).parents[2] / "rules"
    trace = tmp_path / "t.csv"
    rows = "".join(f"{i},500,20\n" for i in range(100))
    trace.write_text(f"arrival_s,prompt_tokens,output_tokens\n{rows}")
    options = ReplayOptions(
        trace, root / "coding-assistant.yaml", root / "plants" / "coding-assistant.yaml"
    )
    out = Console(width=100)
    replay_trace(options, out, Console(stderr=True), as_json=False)
    shown = capsys.readouterr()
    assert "SLO kept, completion (goal 99%)" in shown.out
    assert shown.err == ""
    replay_trace(options, out, Console(stderr=True), as_json=True)
    *lines, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["summary"]["ended"] == 100
    assert {json.loads(line)["pool"] for line in lines} == {"code-h100", "code-wse"}


def test_a_pool_that_nobody_asks_costs_nothing_until_the_next_request():
    rules = rulefiles.load_sources(
        {
            "chat.yaml": """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s}
pools:
  - name: gpu
    provider: {simulated: {}}
    replicas: {min: 0, max: 8, zero_after: 10m}
    price: 5 USD/h
    startup: 60s
triggers:
  - {name: meet, slo: interactive}
"""
        }
    )
    service = rules.services[0]
    bursts = np.concatenate([start + np.arange(0.0, 300.0, 2.0) for start in (0.0, 3600.0)])
    requests = Workload(bursts, np.full(len(bursts), 500), np.full(len(bursts), 100), None)
    result = replay(rules, service, requests, plant_for(service), drain_s=1500.0)
    reasons = [d.reason.value for d in acts(result)]
    assert reasons == ["woken", "idle", "woken", "idle"]
    up_s = 300.0 + 600.0
    assert 2 * up_s <= result.replica_seconds["gpu"] < 2 * up_s + 120.0
