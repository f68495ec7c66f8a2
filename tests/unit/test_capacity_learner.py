"""What a service's learner makes of samples: which pool they teach, and what is left out."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.capacity_bench import ACCELERATOR, RULES

from poolwright.capacity.assessing import _growth, assess
from poolwright.capacity.carrying import Carrying
from poolwright.capacity.demand import PRIOR_OUTPUT_TOKENS, Demand
from poolwright.capacity.feed import feed
from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.past import Past
from poolwright.capacity.pool_learner import FRESH_S, READY_S, PoolLearner, missed_slo
from poolwright.capacity.question import question_of
from poolwright.capacity.saving import dump_learner
from poolwright.capacity.speed import PRIOR
from poolwright.forecasting.season import Season
from poolwright.model.assessment import Assessment, Basis
from poolwright.model.names import NameTable
from poolwright.model.pool import PoolReport
from poolwright.model.rule import ClassRule, ForecastTrigger, ServiceRule
from poolwright.rulefiles import load_sources
from poolwright.telemetry.decoder import Decoder

TWO = RULES.replace("\ntriggers:\n", ACCELERATOR, 1)
AT = 1_000_000.0


def service(text: str = RULES) -> ServiceRule:
    return load_sources({"chat.yaml": text}).services[0]


class Bench:
    """Learners of the services `chat` and `code`, and a decoder with their names."""

    def __init__(self, text: str = TWO) -> None:
        self.names = NameTable()
        self.learners = {
            self.names.intern(name): (service(text), ServiceLearner(service(text), self.names))
            for name in ("chat", "code")
        }
        self.decoder = Decoder(self.names, None)

    def of(self, name: str) -> ServiceLearner:
        number = self.names.find(name)
        assert number is not None
        return self.learners[number][1]

    def feed(self, *events: dict[str, object], at: float = AT) -> None:
        values = [json.dumps(event).encode() for event in events]
        batch, dead = self.decoder.decode(values, now=None, places=None)
        assert not dead
        feed(self.learners, batch, at=at)


def arrival(at: float, name: str = "chat", **more: object) -> dict[str, object]:
    return {"type": "arrival", "at": at, "service": name, "class": "chat", **more}


def ended(at: float, pool: str = "gpu", **more: object) -> dict[str, object]:
    usual = {"type": "request", "at": at, "service": "chat", "class": "chat", "pool": pool,
             "replica": f"{pool}-0", "input_tokens": 300, "output_tokens": 50, "ttft_s": 0.1,
             "itl_s": 0.02, "e2e_s": 1.08, "status": "ok"}  # fmt: skip
    return usual | more


def gauge(at: float, replica: str = "r", pool: str = "gpu", **more: object) -> dict[str, object]:
    return {"type": "replica", "at": at, "service": "chat", "pool": pool, "replica": replica,
            "running": 5, "waiting": 0} | more  # fmt: skip


def test_each_service_gets_its_own_samples() -> None:
    bench = Bench()
    bench.feed(arrival(AT), arrival(AT, "code"), arrival(AT, "code"), arrival(AT, "unknown"))
    counts = {
        name: sum(d.requests.sum() for d in bench.of(name).demand.classes.values())
        for name in ("chat", "code")
    }
    assert counts == {"chat": 1, "code": 2}
    bench.feed()
    bench.feed(ended(AT), gauge(AT))
    assert bench.of("code").demand.newest == int(AT)
    assert bench.of("chat").pools["gpu"].gauges


def test_a_request_teaches_the_pool_that_ended_it() -> None:
    bench = Bench()
    bench.feed(*[ended(AT + n) for n in range(20)], at=AT + 20)
    pools = bench.of("chat").pools
    assert len(pools["gpu"].speed._kept) == 20
    assert len(pools["wse"].speed._kept) == 0


def test_failed_requests_teach_no_speed_but_their_tokens_count() -> None:
    bench = Bench()
    bench.feed(*[ended(AT + n, status="error", output_tokens=7) for n in range(20)], at=AT + 20)
    learner = bench.of("chat")
    assert len(learner.pools["gpu"].speed._kept) == 0
    (known,) = learner.demand.classes.values()
    assert known.output_tokens == 7.0


def test_requests_that_do_not_name_their_replica_are_of_any_that_is_ready() -> None:
    bench = Bench()
    pool = bench.of("chat").pools["gpu"]
    bench.feed(ended(AT - 1, replica=""), ended(AT - 2, "wse", replica="w1"))
    # Among how many the load is spread nobody said yet.
    taught = {name: len(pool.speed._kept) for name, pool in bench.of("chat").pools.items()}
    assert taught == {"gpu": 0, "wse": 1}
    pool.note_ready(AT, 3)
    bench.feed(ended(AT - 1, replica=""), ended(AT - 1, replica="g1"))
    assert pool.speed._kept.rows()[:, 0].tolist() == [-3.0, bench.names.find("g1")]


def test_the_decode_time_is_that_of_the_tokens_where_no_total_is_told() -> None:
    bench = Bench()
    with_e2e, without = ended(AT), ended(AT)
    del without["e2e_s"]
    for event in (with_e2e, without):
        bench.feed(event)
    rows = bench.of("chat").pools["gpu"].speed._kept.rows()
    assert (rows[:, 3] - rows[:, 2]).tolist() == pytest.approx([0.98, 49 * 0.02])


def test_gauges_of_a_replica_are_the_newest_and_grow_old() -> None:
    bench = Bench()
    pool = bench.of("chat").pools["gpu"]
    assert pool.waiting(AT) is None
    bench.feed(gauge(AT, waiting=4), gauge(AT, "s", waiting=1))
    bench.feed(gauge(AT - 5, waiting=99))
    assert pool.waiting(AT) == 5
    assert pool.waiting(AT + FRESH_S + 1) is None
    mute = gauge(AT + 40, "mute")
    del mute["waiting"]
    bench.feed(mute)
    assert pool.waiting(AT + 40) is None


def test_the_batch_is_as_large_as_it_is_while_a_queue_stays() -> None:
    bench = Bench()
    pool = bench.of("chat").pools["gpu"]
    bench.feed(gauge(AT, running=64, waiting=3))
    assert pool.batch.requests is None
    bench.feed(*(gauge(AT + 5 * n, running=64, waiting=3) for n in range(1, 7)))
    assert pool.batch.requests == 64
    # The number of a replica with a queue is in use, and let go with its gauges.
    assert pool.replicas() == {bench.names.find("r")}
    bench.feed(gauge(AT - 5, running=99, waiting=0))
    assert pool.batch.requests == 64
    assert pool.waiting(AT + 200) is None
    assert pool.replicas() == set()


def test_what_missed_its_slo() -> None:
    rule = ClassRule("c", ttft_s=1.0, itl_s=0.05, e2e_s=10.0)
    nan = np.nan
    ttft, itl, e2e = np.array(
        [(0.9, 0.04, 9.0), (1.1, 0.04, 9.0), (0.9, 0.06, 9.0), (0.9, 0.04, 11.0), (nan, nan, nan)]
    ).T
    assert missed_slo(rule, ttft, itl, e2e).tolist() == [False, True, True, True, False]
    assert not missed_slo(ClassRule("c"), ttft, itl, e2e).any()


def judged(*, ready: int, need: float, missed: bool, inputs: float = 300.0) -> PoolLearner:
    """A pool whose 300 requests came and ended while so many were ready and needed."""
    bench = Bench()
    pool = bench.of("chat").pools["gpu"]
    pool.speed.requests = 1000.0
    pool.ready[:] = ready
    pool.felt[:] = need
    times = [ended(AT - 100 + n / 4, input_tokens=inputs, ttft_s=9.0 if missed else 0.1)
             for n in range(300)]  # fmt: skip
    bench.feed(*times)
    pool.judge(AT, 4.0)
    return pool


def test_misses_count_where_the_model_did_not_foresee_them() -> None:
    usual = PoolLearner(service().pools[0]).calibration.factor
    assert judged(ready=5, need=4.0, missed=True).calibration.factor > usual
    assert judged(ready=5, need=4.0, missed=False).calibration.factor < usual
    short = judged(ready=3, need=4.0, missed=True).calibration
    assert short.factor == pytest.approx(usual, abs=0.2)
    assert judged(ready=3, need=4.0, missed=False).calibration.factor < 1.0


def test_nothing_is_told_of_those_who_came_behind_a_queue() -> None:
    behind = judged(ready=3, need=np.inf, missed=True).calibration
    assert behind.factor == PoolLearner(service().pools[0]).calibration.factor


def noted(*felts: float, ready: int = 3, queued: bool = True) -> PoolLearner:
    """A pool that was told, ten seconds each, what its arrivals needed."""
    pool = PoolLearner(service().pools[0])
    pool.ready[:] = ready
    told: list[float] = []
    for number, need in enumerate(felts):
        told += [need] * 10
        pool.note_felt(
            AT + 10 * number + 9, np.array(told), 2.0, queued=queued, request_class="chat"
        )
    return pool


def at(pool: PoolLearner, second: float) -> float:
    return float(pool.felt[int(second) % READY_S])


def test_a_shortage_goes_on_until_its_queue_has_gone() -> None:
    queueing = noted(9.0, 1.0, 1.0)
    assert at(queueing, AT + 5) == 9.0
    assert at(queueing, AT + 15) == at(queueing, AT + 25) == np.inf
    assert at(noted(9.0, 1.0, queued=False), AT + 15) == 1.0


def test_what_arrivals_feel_is_completed_while_they_decode() -> None:
    pool = noted(1.0)
    assert at(pool, AT + 9) == 1.0
    pool.note_felt(
        AT + 19, np.array([1.0] * 8 + [2.5] * 12), 2.0, queued=False, request_class="chat"
    )
    assert at(pool, AT + 9) == 2.5
    # Another objective of the same instant: the larger counts.
    pool.note_felt(AT + 19, np.full(20, 2.0), 2.0, queued=False, request_class="chat")
    assert at(pool, AT + 19) == 2.5


def test_what_the_strictest_class_needs_is_held_against_its_own_requests_only() -> None:
    pool = PoolLearner(service().pools[0])
    pool.ready[:] = 3
    for second in (AT, AT + 1):
        pool.note_felt(second, np.full(60, 2.0), 2.0, queued=False, request_class="batch")
        pool.note_felt(second, np.full(60, 9.0), 2.0, queued=False, request_class="chat")
    usual = pool.calibration.factor
    rows = np.column_stack((np.full(300, AT - 5), np.full(300, AT), np.zeros(300)))
    pool.outcomes.append(("batch", 0.9, rows))
    pool.judge(AT + 1, 4.0)
    assert pool.calibration.factor == usual
    pool.outcomes.append(("chat", 0.99, rows))
    pool.judge(AT + 1, 4.0)
    assert pool.calibration.factor < usual


def test_a_prompt_too_long_for_any_count_of_replicas_is_no_miss() -> None:
    giant = 3.0 / PRIOR.prefill_per_token_s
    usual = PoolLearner(service().pools[0]).calibration.factor
    assert judged(ready=5, need=4.0, missed=True, inputs=giant).calibration.factor == usual


def test_requests_from_before_what_is_remembered_are_not_judged() -> None:
    pool = PoolLearner(service().pools[0])
    usual = pool.calibration.factor
    pool.ready[:] = 9
    rows = np.array([[AT - READY_S - 1, AT, 1.0], [AT - 5, AT + 5, 1.0]])
    pool.outcomes.append(("chat", 0.99, rows))
    pool.judge(AT, 1.0)
    assert pool.calibration.factor == usual
    assert pool.outcomes == []


def test_outcomes_wait_until_the_speed_is_learned() -> None:
    bench = Bench()
    bench.feed(*[ended(AT + n / 10) for n in range(10)])
    pool = bench.of("chat").pools["gpu"]
    assert pool.outcomes == []
    pool.speed.requests = 1000.0
    bench.feed(ended(AT + 2), ended(AT + 2, **{"class": "other"}))
    assert [len(rows) for _, _, rows in pool.outcomes] == [1]


def test_reports_of_other_pools_are_left_alone() -> None:
    learner = Bench().of("chat")
    learner.reports([PoolReport("gpu", AT, 3, 3), PoolReport("elsewhere", AT, 3, 3)])
    assert learner.pools["gpu"].startups._ready == 3


def test_other_rules_keep_what_was_learned_of_pools_that_stay() -> None:
    learner = Bench().of("chat")
    known = learner.pools["gpu"]
    learner.use(service(RULES))
    assert learner.pools == {"gpu": known}
    learner.use(service(TWO))
    assert learner.pools["gpu"] is known
    assert set(learner.pools) == {"gpu", "wse"}


def test_a_declared_profile_is_believed_until_measured() -> None:
    (gpu, wse) = service(TWO).pools
    assert PoolLearner(gpu).speed.speed == PRIOR
    assert PoolLearner(wse).speed.speed.itl_base_s == 0.001
    demand = Demand()
    demand.advance(AT)
    question = question_of(service(TWO), service(TWO).triggers[0])
    basis = [
        assess(Past(demand), PoolLearner(rule), rule, question, {}, AT).capacity.basis
        for rule in (gpu, wse)
    ]
    assert basis == [Basis.PRIOR, Basis.DECLARED]


def test_the_first_seconds_have_a_need_and_no_forecast() -> None:
    bench = Bench()
    learner = bench.of("chat")
    bench.feed(*[arrival(AT, input_tokens=1000)] * 50)
    rule = service().pools[0]
    question = question_of(service(), service().triggers[0])
    (number,) = learner.demand.classes
    found = assess(Past(learner.demand), learner.pools["gpu"], rule, question, {number: 1.0}, AT)
    assert found.need > 1.0
    assert (found.upper, found.skill, found.history_s) == (None, None, 1.0)
    assert dict(found.models) == {}
    assert (found.input_tokens, found.output_tokens) == (1000.0, PRIOR_OUTPUT_TOKENS)


def opened(per_s: Callable[[int], int], seconds: int = 120) -> Assessment:
    """Assessed while a service opens, so many arrivals in each second."""
    bench = Bench()
    for second in range(seconds):
        bench.feed(*[arrival(AT + second, input_tokens=1000)] * per_s(second), at=AT + second)
    learner, (rule, *_) = bench.of("chat"), service().pools
    question = question_of(service(), service().triggers[0])
    (number,) = learner.demand.classes
    at = AT + seconds - 1
    return assess(Past(learner.demand), learner.pools["gpu"], rule, question, {number: 1.0}, at)


def test_before_a_forecast_a_need_is_carried_on_as_it_has_grown() -> None:
    steady, growing = opened(lambda _: 6), opened(lambda second: 1 + second // 10)
    assert (steady.upper, growing.upper) == (None, None)
    assert steady.carried_on == pytest.approx(steady.peak, rel=0.05)
    # It has doubled in the last minute, and a start-up takes as long.
    assert growing.carried_on > 1.4 * growing.peak
    assert opened(lambda _: 6, seconds=500).carried_on is None


def test_before_a_forecast_noise_is_no_growth_and_bursts_are() -> None:
    noise = np.random.default_rng(1).poisson(6.0, 120)
    assert opened(lambda second: int(noise[second])).carried_on < 1.05 * noisy_peak(noise)
    burst = opened(lambda second: 30 if second < 2 or 90 <= second < 100 else 0)
    assert burst.carried_on > 1.2 * burst.peak


def test_of_two_decode_times_no_growth_is_told() -> None:
    bench = Bench()
    for second in range(50):
        bench.feed(*[arrival(AT + second, input_tokens=1000)] * 3, at=AT + second)
    past = Past(bench.of("chat").demand)
    need = np.linspace(1.0, 2.0, past.seconds)
    assert _growth(past, need, 5.0) == pytest.approx(1.0 / (past.seconds - 1))
    assert _growth(past, need, 20.0) == 0.0


def noisy_peak(per_s: np.ndarray) -> float:
    found = opened(lambda second: int(per_s[second]))
    assert found.peak is not None
    return found.peak


def test_a_mix_without_requests_has_no_mean_request() -> None:
    demand = Demand()
    demand.advance(AT)
    rule = service().pools[0]
    question = question_of(service(), service().triggers[0])
    found = assess(Past(demand), PoolLearner(rule), rule, question, {}, AT)
    assert (found.input_tokens, found.output_tokens) == (None, None)


def test_history_warms_the_season_and_nothing_else() -> None:
    learner = Bench().of("chat")
    before = dump_learner(learner)
    assert learner.remember(100, np.array([1.0, np.nan, 3.0])) == 2
    assert learner.demand.season.means[100:103].tolist()[::2] == [1.0, 3.0]
    assert learner.demand.seconds == 0
    assert not learner.pools["gpu"].speed.learned
    learner.demand.season = Season()
    assert dump_learner(learner) == before


def test_nothing_is_assessed_before_a_plan() -> None:
    learner = Bench().of("chat")
    rule = service(TWO)
    assert learner.plan(rule, {}, {}, AT) == {}
    assert learner.demand.seconds == 0
    assert learner.assess(rule, rule.pools[0], rule.triggers[0], AT) is None


def test_triggers_of_one_pool_share_what_they_ask_for() -> None:
    bench = Bench()
    for second in range(300):
        bench.feed(arrival(AT + second, input_tokens=1000), at=AT + second)
    learner, past = bench.of("chat"), Past(bench.of("chat").demand)
    shares, speed = dict.fromkeys(learner.demand.classes, 1.0), learner.pools["gpu"].speed.speed
    load = Carrying(0.8, 64.0, 2.0, 1.0)
    assert past.stream(shares) is past.stream(dict(shares))
    assert past.needs(shares, speed, load) is past.needs(dict(shares), speed, replace(load))
    tested = past.backtest(shares, speed, load, 1.0, 60.0)
    assert tested is not None
    assert past.backtest(shares, speed, load, 1.0, 59.0) is tested
    assert past.backtest(shares, speed, load, 1.1, 60.0) is not tested


def test_other_rules_within_a_block_are_assessed_at_once() -> None:
    bench = Bench()
    for second in range(60):
        bench.feed(arrival(AT + second, input_tokens=1000), at=AT + second)
    learner, rule = bench.of("chat"), service()
    at = AT + 59
    learner.plan(rule, {}, {"gpu": 9}, at)
    trigger = replace(rule.triggers[0], name="another")
    pools = (*rule.pools, service(TWO).pools[1])
    other = replace(rule, triggers=(*rule.triggers, trigger), pools=pools)
    assert learner.assess(other, pools[1], trigger, at) is None, "it is no part of the plan yet"
    known = learner.assess(other, other.pools[0], rule.triggers[0], at)
    found = learner.assess(other, other.pools[0], trigger, at)
    assert known is not None
    assert found == replace(known, trigger="another")


def test_a_forecast_is_for_the_strictest_class() -> None:
    text = RULES.replace(
        "  chat: {ttft: 2s, itl: 50ms, attainment: 99%}",
        "  chat: {ttft: 2s}\n  fast: {itl: 20ms, attainment: 99.9%}\n  slow: {e2e: 10m}",
    )
    rule = service(text)
    question = question_of(rule, ForecastTrigger("ahead", 90.0, 0.9))
    assert (question.request_class, question.horizon_s, question.quantile) == ("fast", 90.0, 0.9)
    slo = question_of(rule, rule.triggers[0])
    assert (slo.request_class, slo.horizon_s) == ("chat", None)
    none = ServiceRule("chat", rule.mode, (), rule.pools, (), ())
    assert question_of(none, ForecastTrigger("ahead", None, 0.9)).request_class == "default"


def test_before_anything_is_learned_misses_are_counted_by_the_replicas_that_are_ready() -> None:
    bench = Bench()
    pool = bench.of("chat").pools["gpu"]
    pool.note_ready(AT - 60, 1)
    bench.feed(*[ended(AT + n / 10, ttft_s=9.0) for n in range(9)])
    assert pool.early_miss_rate is None
    bench.feed(ended(AT + 1, ttft_s=0.1))
    assert pool.early_miss_rate == pytest.approx(0.9)
    # One more is ready: what came before says nothing of two.
    pool.note_ready(AT + 20, 2)
    bench.feed(*[ended(AT + 20.1, ttft_s=9.0, e2e_s=11.0) for _ in range(20)])
    assert pool.early_miss_rate is None
    bench.feed(*[ended(AT + 50, ttft_s=0.1) for _ in range(20)])
    assert pool.early_miss_rate == 0.0
    pool.note_ready(AT + 60, 1)
    assert pool.early_ended == 20
    pool.speed.requests = 1000.0
    assert pool.early_miss_rate is None
