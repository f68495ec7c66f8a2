"""Scale to zero and back: nobody asks is known, never assumed, and a request wakes the pool."""

import pytest

from poolwright.controller import Controller
from poolwright.decision.decide import decide_again
from poolwright.rulefiles import load_sources

ZERO_AFTER_S = 600.0
START = 1000.0

TRIGGERS = """
  - {name: load, target: {signal: running, per_replica: 4}}
"""


def controller(triggers: str = TRIGGERS, limits: str = "") -> Controller:
    return Controller(
        load_sources(
            {
                "chat.yaml": f"""
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {{ttft: 2s, attainment: 99%}}
pools:
  - name: gpu
    provider: {{simulated: {{}}}}
    replicas: {{min: 0, max: 9, zero_after: 10m}}
signals:
  running: {{metric: requests_running, across: sum, stat: last, window: 30s}}
  slow: {{metric: ttft, stat: p95, window: 60s}}
triggers:{triggers}
limits:
  up: {{step: 9, per: 1s, stabilise: 0s}}
  down: {{step: 9, per: 1s, stabilise: 5m}}
{limits}
"""
            }
        )
    )


class Pool:
    """A pool that obeys at once, and whose replicas tell what the test says."""

    def __init__(self, found: Controller, replicas: int = 1) -> None:
        self.controller = found
        self.count = replicas
        self.at = START
        self.silent: frozenset[int] = frozenset()
        """Replicas that report nothing."""
        self.running = 0
        self.starting = 0

    def arrive(self, at: float | None = None) -> None:
        when = self.at if at is None else at
        event = {"type": "arrival", "at": when, "service": "chat", "class": "interactive"}
        self.controller.ingest([event])

    def play(self, seconds: float, *, step_s: float = 5.0):
        """The last decision that was recorded, with the time that it took."""
        last = None
        until = self.at + seconds
        while self.at < until:
            self.at += step_s
            for n in set(range(self.count)) - self.silent:
                event = {"type": "replica", "at": self.at, "service": "chat", "pool": "gpu"}
                told = {"replica": f"r{n}", "running": self.running, "waiting": 0}
                self.controller.ingest([event | told])
            ready = self.count - self.starting
            self.controller.report("gpu", at=self.at, ready=ready, starting=self.starting)
            for decision in self.controller.decide(self.at):
                assert decide_again(self.controller.rules.services[0], decision) == decision
                last = decision
                if decision.acts:
                    self.count = decision.desired
                    return decision
        return last


def test_a_pool_goes_to_zero_when_nobody_has_asked_for_so_long() -> None:
    pool = Pool(controller())
    pool.arrive()
    decision = pool.play(ZERO_AFTER_S + 60.0)
    assert (decision.outcome, decision.desired, decision.reason) == ("scale_down", 0, "idle")
    assert ZERO_AFTER_S <= pool.at - START < ZERO_AFTER_S + 20.0


def test_until_then_the_last_replica_stays_whatever_triggers_ask() -> None:
    pool = Pool(controller(), 4)
    pool.arrive()
    decision = pool.play(500.0)
    assert (decision.desired, decision.reason) == (1, "proposed")
    assert pool.play(START + 590.0 - pool.at).desired == 1


def test_at_zero_it_stays_there_until_a_request_comes() -> None:
    pool = Pool(controller())
    pool.arrive()
    pool.play(ZERO_AFTER_S + 60.0)
    decision = pool.play(7200.0)
    assert (decision.outcome, decision.desired, decision.reason) == ("hold", 0, "idle")
    pool.arrive()
    decision = pool.play(5.0)
    assert (decision.outcome, decision.desired, decision.reason) == ("scale_up", 1, "woken")


def test_a_request_that_came_just_before_zero_and_was_heard_of_after_it_wakes_too() -> None:
    pool = Pool(controller())
    pool.arrive()
    pool.play(ZERO_AFTER_S + 60.0)
    assert pool.count == 0
    pool.arrive(pool.at - 1.0)
    assert pool.play(5.0).reason == "woken"


def test_a_request_from_long_ago_wakes_nobody() -> None:
    pool = Pool(controller(), 0)
    pool.arrive(START - ZERO_AFTER_S - 1.0)
    assert pool.play(60.0).reason == "idle"


def test_once_woken_it_stays_up_until_it_has_been_idle_again() -> None:
    pool = Pool(controller(), 0)
    pool.arrive()
    assert pool.play(5.0).reason == "woken"
    pool.starting = 1
    pool.play(180.0)
    pool.starting = 0
    woken_at = pool.at
    decision = pool.play(2 * ZERO_AFTER_S)
    assert (decision.desired, decision.reason) == (0, "idle")
    assert pool.at - woken_at >= ZERO_AFTER_S, "what was starting had no chance to be asked"


@pytest.mark.parametrize("what", ["silent", "busy", "starting"])
def test_a_pool_that_may_have_something_to_do_never_goes_to_zero(what: str) -> None:
    pool = Pool(controller(), 2)
    pool.arrive()
    match what:
        case "silent":
            pool.silent = frozenset({1})
        case "busy":
            pool.running = 1
        case "starting":
            pool.starting = 1
    for _ in range(4):
        pool.play(ZERO_AFTER_S)
        assert pool.count > 0


def test_a_silence_of_all_telemetry_is_no_idleness() -> None:
    pool = Pool(controller())
    pool.arrive()
    pool.play(300.0)
    pool.silent = frozenset({0})
    pool.play(7200.0)
    assert pool.count == 1
    pool.silent = frozenset()
    decision = pool.play(2 * ZERO_AFTER_S)
    assert (decision.desired, decision.reason) == (0, "idle")


def test_the_clock_and_a_condition_keep_a_pool_up_that_nobody_asks() -> None:
    nights = '\n  - {name: day, schedule: {start: "* * * * *", lasts: 2h, min: 2}}'
    pool = Pool(controller(TRIGGERS + nights), 2)
    pool.arrive()
    pool.play(3 * ZERO_AFTER_S)
    assert pool.count == 2


def test_without_zero_after_a_pool_of_min_zero_is_left_to_its_triggers() -> None:
    rules = load_sources(
        {
            "chat.yaml": """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, provider: {simulated: {}}, replicas: {min: 0, max: 9}}
triggers:
  - {name: never, when: "desired < 0", add: 1}
"""
        }
    )
    pool = Pool(Controller(rules))
    pool.arrive()
    pool.play(7200.0)
    assert pool.count == 1


def test_while_ingest_is_behind_nothing_goes_to_zero() -> None:
    pool = Pool(controller())
    pool.arrive()
    pool.controller.health(ingest_behind=True)
    decision = pool.play(2 * ZERO_AFTER_S)
    assert (decision.outcome, decision.reason) == ("blocked", "ingest_behind")


def test_a_freeze_keeps_a_pool_up() -> None:
    frozen = '  freeze:\n    - {name: f, start: "* * * * *", lasts: 2h, direction: down}'
    pool = Pool(controller(limits=frozen))
    pool.arrive()
    assert pool.play(2 * ZERO_AFTER_S).reason == "frozen"


def test_learned_triggers_let_it_rest_and_do_not_wake_it() -> None:
    learned = """
  - {name: meet, slo: interactive}
  - {name: ahead, forecast: {signal: demand, horizon: startup, quantile: 0.95}}
"""
    pool = Pool(controller(learned))
    for _ in range(400):
        pool.arrive()
        pool.running = 1
        pool.play(5.0)
    pool.running = 0
    while pool.count:
        assert pool.at < START + 20_000.0
        pool.play(600.0)
    decision = pool.play(3600.0)
    assert (decision.desired, decision.reason) == (0, "idle")
    pool.arrive()
    assert pool.play(5.0).reason == "woken"
