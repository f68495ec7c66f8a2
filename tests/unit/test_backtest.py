"""Backtests end to end, short ones: who took part, what it came to, how it is told and judged."""

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from poolwright import rulefiles
from poolwright.backtest.command import BacktestOptions, against, run_backtest, share
from poolwright.backtest.contenders import AGAINST, OURS
from poolwright.backtest.judging import Bounds, failures
from poolwright.backtest.observing import Observer
from poolwright.backtest.peers.static import Static
from poolwright.backtest.pilots import ControllerPilot, PeerPilot
from poolwright.backtest.playing import play
from poolwright.backtest.sweeping import sweep_all
from poolwright.backtest.world import Plan, Trace, World, world_of
from poolwright.cli.commands import app
from poolwright.errors import HistoryError, JournalError, RuleFileError, SettingsError
from poolwright.model.pool import PoolReport
from poolwright.record.journal import Journal
from poolwright.runtime.replay import replay
from poolwright.simulation.spec import plant_for
from poolwright.simulation.workloads import TraceError, Workload

RULES = """
apiVersion: poolwright/v1
service: chat
classes:
  talk: {ttft: 2s, itl: 60ms, attainment: 95%%}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: %(least)d, max: 6}
    price: 4 USD/h
    startup: 60s
    profile: {itl_base: 10ms, itl_per_request: 4ms, prefill_base: 10ms, prefill_per_token: 0.1ms,
              max_batch: 16}
signals:
  running: {metric: requests_running, across: sum, stat: avg, window: 30s}
triggers:
  - {name: concurrency, target: {signal: running, per_replica: 6}}
"""


def workload(seconds=480, seed=3) -> Workload:
    random = np.random.default_rng(seed)
    at = np.sort(random.random(seconds * 2) * seconds)
    at -= at[0]
    return Workload(at, np.full(len(at), 500), np.full(len(at), 100))


def write_trace(path: Path) -> Path:
    rows = workload()
    lines = ["arrival_s,prompt_tokens,output_tokens"]
    lines += [f"{at:.3f},500,100" for at in rows.arrival_s]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_rules(path: Path, least: int) -> Path:
    path.write_text(RULES % {"least": least})
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trace, rules that start with four replicas, and rules that start with one."""
    folder = tmp_path_factory.mktemp("backtest")
    trace = write_trace(folder / "talk <b>&.csv")
    return trace, write_rules(folder / "four.yaml", 4), write_rules(folder / "one.yaml", 1)


def plan(least=1) -> Plan:
    rules = rulefiles.load_sources({"chat.yaml": RULES % {"least": least}})
    trace = Trace("talk", workload())
    spec = plant_for(rules.services[0])
    return Plan(dict(rules.sources), None, "chat", spec, (trace,), 1)


def run(options, *, as_json=False):
    out = Console(file=StringIO(), width=150)
    code = run_backtest(options, out, Console(file=StringIO()), as_json_text=as_json)
    return code, out.file.getvalue()


# --- playing -------------------------------------------------------------------------------------


def test_the_rules_decide_as_in_a_replay():
    made = plan()
    rules = rulefiles.load_sources(made.rules)
    service = rules.services[0]
    world = World(rules, service, made.spec, made.traces[0], 1, service.classes)
    here = play(world, ControllerPilot, contender=OURS)
    there = replay(rules, service, workload(), made.spec, seed=1)
    assert here.attainment == there.attainment
    assert here.cost_usd == sum(there.cost_usd.values())
    assert here.actions == there.actions > 0
    assert here.decisions == len(there.decisions)
    assert here.latency == there.latency


def test_a_backtest_plays_one_service_and_leaves_the_fleet_and_the_others_out():
    """Nothing is known of the others: they would take all of the budget, and hold the one back."""
    made = plan()
    other = RULES.replace("service: chat", "service: code").replace("name: gpu", "name: code-gpu")
    fleet = "apiVersion: poolwright/v1\nkind: Fleet\nbudget: 25 USD/h\n"
    among = replace(
        made, rules={**made.rules, "code.yaml": other % {"least": 1}, "fleet.yaml": fleet}
    )
    alone, shared = (
        play(world_of(one, 0), ControllerPilot, contender=OURS) for one in (made, among)
    )
    assert alone.actions > 0
    assert (shared.actions, shared.decisions) == (alone.actions, alone.decisions)
    assert (shared.cost_usd, shared.attainment) == (alone.cost_usd, alone.attainment)


def test_minutes_add_up_to_the_attainment():
    found = sweep_all(plan(), ("static",), jobs=1, progress=lambda _done, _total: None)
    best = found[0, "static"].best
    arrived, kept = best.minutes.arrived["talk"], best.minutes.kept["talk"]
    assert arrived.sum() == best.requests == 960
    assert kept.sum() / arrived.sum() == pytest.approx(best.attainment["talk"])


def test_a_second_tells_the_mean_concurrency_within_it():
    observer = Observer("gpu")
    report = PoolReport("gpu", 0.0, 1, 1)
    arrival = {"type": "arrival", "at": 10.25, "input_tokens": 7}
    end = {"type": "request", "at": 11.5, "input_tokens": 7, "output_tokens": 2, "ttft_s": 0.5,
           "itl_s": 0.1, "e2e_s": 1.25}  # fmt: skip
    first = observer.second(11.0, [arrival], report)
    second = observer.second(12.0, [end], report)
    assert first.concurrency == pytest.approx(0.75)
    assert second.concurrency == pytest.approx(0.5)
    assert (first.arrivals, first.input_tokens, second.ended[0].e2e_s) == (1, 7, 1.25)
    assert observer.second(13.0, [], report).concurrency == 0.0


def test_an_order_that_the_stock_refuses_is_no_scale_action():
    made = plan()
    rules = rulefiles.load_sources(made.rules)
    scarce = replace(made.spec, pools=(replace(made.spec.pools[0], stock=2),))
    service = rules.services[0]
    world = World(rules, service, scarce, made.traces[0], 1, service.classes)
    run = play(world, lambda world, plant: PeerPilot(world, plant, Static(5)), contender="static")
    assert run.actions == 1
    assert run.timeline.ready["gpu"].max() == 2


# --- sweeps --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweeps():
    everybody = (OURS, *AGAINST)
    seen = []
    found = sweep_all(plan(), everybody, jobs=1, progress=lambda *told: seen.append(told))
    return found, seen


def test_everybody_takes_part_and_progress_ends_at_all_of_it(sweeps):
    found, seen = sweeps
    assert {contender for _, contender in found} == {OURS, *AGAINST}
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] == len(seen) - 1


def test_the_best_setting_is_the_cheapest_that_keeps_the_goal(sweeps):
    found, _ = sweeps
    fixed = found[0, "static"]
    assert fixed.keeps
    assert fixed.best.attainment["talk"] >= 0.95
    assert fixed.best.cost_usd == min(cost for cost, missed in fixed.tried if missed <= 1.0)


def test_the_clairvoyant_is_no_dearer_than_any_that_keeps_the_goal(sweeps):
    found, _ = sweeps
    kept = [sweep.best.cost_usd for sweep in found.values() if sweep.keeps]
    assert found[0, "clairvoyant"].keeps
    assert found[0, "clairvoyant"].best.cost_usd == min(kept)


def test_worker_processes_come_to_the_same():
    names = ("static", "kpa")
    here = sweep_all(plan(), names, jobs=1, progress=lambda _d, _t: None)
    there = sweep_all(plan(), names, jobs=2, progress=lambda _d, _t: None)
    for key, sweep in here.items():
        assert there[key].tried == sweep.tried
        assert there[key].best.setting == sweep.best.setting


# --- the command ---------------------------------------------------------------------------------


def test_a_report_with_two_peers_in_seconds(files, tmp_path):
    trace, _, one = files
    page = tmp_path / "page.html"
    options = BacktestOptions((trace,), one, against="static,clairvoyant", report=page, jobs=1)
    code, told = run(options)
    assert code == 0
    assert "fixed count" in told
    assert "clairvoyant" in told
    assert "Poolwright" in told
    html = page.read_text()
    assert html.startswith("<!doctype html>")
    # Nothing is fetched, and a name from outside is text.
    assert not re.search(r"https?://|<script|<link|<img|src=|url\(|@import", html)
    assert "talk &lt;b&gt;&amp;.csv" in html
    assert "<b>" not in html
    assert html.count("<svg") == html.count("</svg>") == 4
    assert "scaled up, 1 → " in html


def test_json_says_what_the_table_says(files, capsys):
    trace, _, one = files
    code, _ = run(BacktestOptions((trace,), one, against="static", jobs=1), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    rows = {row["contender"]: row for row in said["traces"][0]["contenders"]}
    assert set(rows) == {OURS, "static"}
    assert rows["static"]["keeps"] is True
    assert rows["static"]["latency"]["ttft_p50_s"] > 0
    assert said["baseline"] is None
    assert said["failures"] == []


def test_dearer_rules_fail_against_the_old_ones(files):
    trace, four, one = files
    code, told = run(BacktestOptions((trace,), four, baseline=one, jobs=1))
    assert code == 1
    assert "FAIL cost rises by" in told


def test_rules_that_lose_a_goal_fail_against_the_old_ones(files):
    trace, four, one = files
    code, told = run(BacktestOptions((trace,), one, baseline=four, jobs=1))
    assert code == 1
    assert "below its goal of 95.00%" in told
    assert "more minutes are below a goal" in told
    assert "cost rises" not in told


def test_the_same_rules_pass_and_wide_bounds_let_anything_pass(files):
    trace, four, one = files
    assert run(BacktestOptions((trace,), one, baseline=one, jobs=1))[0] == 0
    wide = Bounds(max_cost_increase=10.0, max_more_actions=10.0)
    assert run(BacktestOptions((trace,), four, baseline=one, jobs=1, bounds=wide))[0] == 0


def test_a_floor_of_attainment_needs_no_baseline(files):
    trace, _, one = files
    options = BacktestOptions(
        (trace,), one, against="none", jobs=1, bounds=Bounds(min_attainment=1.0)
    )
    code, told = run(options)
    assert code == 1
    assert "below 100.00%" in told


def test_old_rules_are_measured_by_the_new_ones_goals(files, tmp_path):
    trace, _, one = files
    loose = tmp_path / "loose.yaml"
    loose.write_text(one.read_text().replace("attainment: 95%", "attainment: 1%"))
    code, told = run(BacktestOptions((trace,), loose, baseline=one, jobs=1))
    assert code == 0
    assert "minutes below a goal 0 → 0" in told


def test_a_class_without_requests_takes_no_room(files, tmp_path):
    trace, _, one = files
    rules = tmp_path / "two.yaml"
    more = "  idle: {e2e: 1m}\npools:"
    rules.write_text(one.read_text().replace("pools:", more, 1))
    page = tmp_path / "page.html"
    _, told = run(BacktestOptions((trace,), rules, against="static", report=page, jobs=1))
    assert "idle" not in told
    assert re.search(r"✓ fixed count +\d+ replicas +\d+\.\d+%", told)
    assert "idle\n" not in page.read_text()


@pytest.mark.parametrize(("actions", "told"), [(15, 0), (16, 1)])
def test_more_scale_actions_than_allowed_fail(sweeps, actions, told):
    found, _ = sweeps
    best = found[0, "static"].best
    old, new = replace(best, actions=10), replace(best, actions=actions)
    past = failures([old], [new], (), Bounds(max_more_actions=0.5), ["talk"])
    assert len(past) == told
    assert all("scale actions rise from 10 to 16" in one for one in past)


def test_the_command_line_gives_what_it_is_asked(files):
    trace, four, one = files
    asked = ["backtest", str(trace), "--rules", str(four), "--baseline", str(one), "--jobs", "1"]
    refused = CliRunner().invoke(app, [*asked, "--json"])
    assert refused.exit_code == 1
    assert len(json.loads(refused.stdout)["failures"]) == 1
    wide = CliRunner().invoke(app, [*asked, "--max-cost-increase", "1000%"])
    assert wide.exit_code == 0, wide.output


def test_several_traces_are_summed(files, capsys):
    trace, four, one = files
    options = BacktestOptions((trace, trace), four, baseline=one, jobs=1)
    run(options, as_json=True)
    said = json.loads(capsys.readouterr().out)
    each = [trace["contenders"] for trace in said["traces"]]
    assert len(each) == 2
    ours = [row["cost_usd"] for rows in each for row in rows if row["contender"] == OURS]
    assert said["baseline"]["cost_usd"]["new"] == pytest.approx(sum(ours))


def test_what_is_asked_wrongly_is_refused_in_words(files, tmp_path):
    trace, _, one = files
    with pytest.raises(SettingsError, match="--against: no keda; there are hpa, kpa"):
        against("hpa,keda", baseline=False)
    with pytest.raises(SettingsError, match="--min-attainment: `99` has no unit"):
        share("99", "--min-attainment")
    with pytest.raises(JournalError, match="there is no journal here yet"):
        run(BacktestOptions((tmp_path / "journal.db",), one))
    with pytest.raises(SettingsError, match="nothing to play: name a trace, a journal"):
        run(BacktestOptions((), one))
    Journal(tmp_path / "journal.db").close()
    with pytest.raises(HistoryError, match=r"journal\.db: knows nothing of the demand of chat"):
        run(BacktestOptions((tmp_path / "journal.db",), one))
    with pytest.raises(TraceError, match=r"nowhere\.csv"):
        run(BacktestOptions((tmp_path / "nowhere.csv",), one))
    with pytest.raises(RuleFileError):
        run(BacktestOptions((trace,), tmp_path / "nowhere.yaml"))
    missing = tmp_path / "no" / "page.html"
    with pytest.raises(SettingsError, match="cannot be written"):
        run(BacktestOptions((trace,), one, against="none", report=missing, jobs=1))


def test_everybody_is_compared_with_unless_there_is_a_baseline():
    assert against(None, baseline=False) == AGAINST
    assert against(None, baseline=True) == ()
    assert against("none", baseline=False) == ()
    assert against("kpa, static,kpa", baseline=True) == ("kpa", "static")
