"""Whatever telemetry comes, in whatever order, the controller decides, within bounds and budget."""

import json
from collections.abc import Iterator
from random import Random

import pytest

from poolwright import Controller
from poolwright.model.decision import Decision

START = 1_700_000_000.0
BUDGET_USD_PER_HOUR = 300.0
PRICES = {"gpu": 10.0, "other": 14.0, "acc": 40.0}
MOST = {"gpu": 30, "other": 30, "acc": 3}
RULES = """\
apiVersion: poolwright/v1
service: s
classes: {c: {ttft: 2s, itl: 50ms}, b: {e2e: 10m, attainment: 95%}, d: {itl: 10ms}}
pools:
  - {name: gpu, provider: {simulated: {}}, replicas: {min: 0, max: 30}, price: 10 USD/h}
  - {name: other, provider: {simulated: {}}, replicas: {min: 0, max: 30}, price: 14 USD/h}
  - name: acc
    role: accelerator
    provider: {simulated: {}}
    replicas: {min: 0, max: 3}
    price: 40 USD/h
    lease: 10m
    serves: [c]
    profile: {itl_base: 1ms, itl_per_request: 0.02ms, prefill_base: 3ms, prefill_per_token: 0.01ms,
              max_batch: 128}
    advantage: {economic: 15%, performance: 30%, held_for: 1m, min_utilisation: 10%}
triggers:
  - {name: meet-c, slo: c}
  - {name: meet-b, slo: b}
  - {name: meet-d, slo: d}
  - {name: ahead, forecast: {signal: demand, horizon: startup, quantile: 0.95}}
limits: {budget: 300 USD/h}
"""


def some(random: Random, **fields: object) -> dict[str, object]:
    """The fields, each missing once in ten."""
    return {name: value for name, value in fields.items() if random.random() < 0.9}


def events(random: Random, now: float, counts: dict[str, int]) -> Iterator[dict[str, object]]:
    for _ in range(random.choice((0, 0, 3, 30, 100))):
        common = {
            "at": now - random.random() * random.choice((1, 40)),
            "service": "s",
            "class": random.choice(("c", "b", "d", "unknown", "")),
        }
        tokens = random.choice((0, 1, 500, 100_000))
        yield {"type": "arrival", **common, **some(random, input_tokens=tokens)}
        yield {
            "type": "request", **common,
            "pool": random.choice(("gpu", "other", "acc", "unknown")),
            **some(
                random,
                replica=random.choice(("a", "b", "c", "")),
                input_tokens=tokens,
                output_tokens=random.choice((0, 1, 2, 30, 900)),
                ttft_s=random.choice((0, 0.1, 5, None)),
                itl_s=random.choice((0, 0.02, 1, None)),
                e2e_s=random.choice((0, 0.5, 20, 2000)),
                status=random.choice(("ok", "error", 200, 500)),
            ),
        }  # fmt: skip
    for pool, count in counts.items():
        for number in range(min(count, 3)):
            gauges = some(random, running=random.choice((0, 1, 40)), waiting=random.choice((0, 9)))
            yield {"type": "replica", "at": now, "service": "s", "pool": pool,
                   "replica": f"{pool}{number}", **gauges}  # fmt: skip


def play(seed: int, steps: int) -> list[Decision]:
    random = Random(seed)
    controller = Controller.from_sources({"s.yaml": RULES})
    counts, now, found = {"gpu": 2, "other": 0, "acc": 0}, START, []
    for _ in range(steps):
        now += random.choice((1, 5, 10, 10, 10, 60, 0, -3, 400))
        if random.random() < 0.9:
            controller.ingest([json.dumps(list(events(random, now, counts))).encode()])
        for pool, count in counts.items():
            if random.random() < 0.8:
                controller.report(pool, at=now, ready=count, starting=random.choice((0, 0, 1)))
        for decision in controller.decide(now):
            found.append(decision)
            if decision.acts:
                counts[decision.pool] = decision.desired
        if random.random() < 0.02:
            restarted = Controller.from_sources({"s.yaml": RULES})
            restarted.restore(controller.dump())
            controller = restarted
    return found


@pytest.mark.parametrize("seed", range(4))
def test_hostile_telemetry_is_decided_upon(seed: int) -> None:
    decisions = play(seed, 40)
    assert decisions
    for decision in decisions:
        assert 0 <= decision.desired <= max(MOST[decision.pool], decision.current)
        if decision.desired > decision.current:
            others = decision.inputs.other_cost_usd_per_hour
            assert others + decision.desired * PRICES[decision.pool] <= BUDGET_USD_PER_HOUR + 1e-6
