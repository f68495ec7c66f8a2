"""A planner with the pools of a rule file, declared speeds and even arrivals."""

import numpy as np

from poolwright.capacity.demand import Demand
from poolwright.capacity.ended import EndedTimes
from poolwright.capacity.mix import Plan, Planner
from poolwright.capacity.past import Past
from poolwright.capacity.pool_learner import PoolLearner
from poolwright.model.assessment import Advantage
from poolwright.model.pool import PoolReport
from poolwright.rulefiles import load_sources

HEAD = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {ttft: 2s, itl: 50ms, attainment: 99%}
  fast: {ttft: 2s, itl: 5ms, attainment: 99%}
pools:
"""
SLOW = (
    "{itl_base: 12ms, itl_per_request: 0.8ms, prefill_base: 5ms, prefill_per_token: 0.2ms, "
    "max_batch: 64}"
)
QUICK = (
    "{itl_base: 1ms, itl_per_request: 0.1ms, prefill_base: 2ms, prefill_per_token: 0.02ms, "
    "max_batch: 128}"
)
GAIN = "{economic: 15%, performance: 30%, held_for: 0s, min_utilisation: 20%}"
CHAT, FAST = 0, 1
AT = 600.0


def pool(name: str, role: str, price: float, profile: str, **more: str) -> str:
    extra = "".join(f"    {key}: {value}\n" for key, value in more.items())
    replicas = "" if "replicas" in more else "    replicas: {min: 0, max: 20}\n"
    if role == "accelerator" and "advantage" not in more:
        extra += f"    advantage: {GAIN}\n"
    return (
        f"  - name: {name}\n    role: {role}\n    provider: {{simulated: {{pool: {name}}}}}\n"
        f"    price: {price} USD/h\n    startup: 60s\n    profile: {profile}\n{replicas}{extra}"
    )


GPU = pool("gpu", "default", 4.0, SLOW)
WSE = pool("wse", "accelerator", 10.0, QUICK)
TRIGGERS = "triggers:\n  - {name: meet, slo: chat}\n"


class Fleet:
    """A planner with the pools of a rule file, asked block after block."""

    def __init__(self, *pools: str, triggers: str = TRIGGERS, limits: str = "", **rates) -> None:
        text = HEAD + "".join(pools) + triggers + limits
        (self.service,) = load_sources({"chat.yaml": text}).services
        self.planner = Planner()
        self.pools = {rule.name: PoolLearner(rule) for rule in self.service.pools}
        self.demand = Demand()
        self.demand.advance(0.0)
        self.demand.advance(AT)
        for number, rate in ((CHAT, rates.get("chat", 20)), (FAST, rates.get("fast", 0))):
            at = np.repeat(np.arange(AT + 1), rate)
            self.demand.arrived(at, np.full(len(at), number), np.full(len(at), 500.0))
            if rate:
                self.demand.of(number).answered(np.full(10, 500.0), np.full(10, 100.0))
        self.demand.hear(np.arange(AT + 1))

    def plan(self, at: float = AT, most: dict[str, int] | None = None, **ready: int) -> Plan:
        names = {CHAT: "chat", FAST: "fast"}
        return self.planner.plan(
            self.service,
            Past(self.demand),
            self.pools,
            {number: names[number] for number in sorted(self.demand.classes)},
            {name: PoolReport(name, at, count, count) for name, count in ready.items()},
            {rule.name: rule.max_replicas for rule in self.service.pools} | (most or {}),
            at,
        )

    def ended(self, name: str, itl_s: float, ttft_s: float = 0.1, count: int = 300) -> None:
        """So many requests of `chat` that took as long, in the last five minutes."""
        batch = np.linspace(AT - 300.0, AT, count), ttft_s, itl_s, 60 * itl_s
        times = self.pools[name].ended.setdefault("chat", EndedTimes())
        times.note(*(np.broadcast_to(column, count) for column in batch))


def advantage(plan: Plan, name: str = "wse") -> Advantage:
    found = plan[name].advantage
    assert found is not None
    return found
