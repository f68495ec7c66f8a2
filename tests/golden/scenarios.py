"""Scenarios whose decisions are kept byte for byte: a change of behaviour is a diff to defend."""

from dataclasses import replace

import numpy as np

from poolwright import rulefiles
from poolwright.model.decision import Decision
from poolwright.runtime.replay import replay
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, plant_for
from poolwright.simulation.workloads import Workload

COMMON = """\
apiVersion: poolwright/v1
service: chat
classes: {chat: {ttft: 2s, itl: 60ms}}
pools:
  - {name: gpu, provider: {simulated: {}}, replicas: {min: 2, max: 8}, price: 5 USD/h, startup: 60s}
"""
REACTIVE = f"""{COMMON}
signals:
  waiting: {{metric: requests_waiting, across: sum, stat: avg, window: 30s}}
  running: {{metric: requests_running, across: sum, stat: avg, window: 30s}}
triggers:
  - {{name: pressure, when: "waiting / ready > 4", for: 10s, add: 50%}}
  - {{name: concurrency, target: {{signal: running, per_replica: 10}}}}
limits:
  up: {{step: 2, per: 30s}}
  down: {{step: 1, per: 1m, stabilise: 2m}}
"""
LEARNED = f"""{COMMON}
triggers:
  - {{name: meet, slo: chat}}
  - {{name: ahead, forecast: {{signal: demand, horizon: startup, quantile: 0.95}}}}
limits:
  down: {{step: 1, per: 1m, stabilise: 2m}}
"""
BUDGETED = f"{REACTIVE}  budget: 20 USD/h\n"
RESTING = REACTIVE.replace("min: 2, max: 8", "min: 0, max: 8, zero_after: 2m")
ADVISED = REACTIVE.replace("service: chat", "service: chat\nmode: advise")


def burst(calm_s: int, burst_s: int, *, calm: float, peak: float) -> Workload:
    """Calm, a burst, calm; evenly spaced requests of one size."""
    spans = ((0, calm_s, calm), (calm_s, calm_s + burst_s, peak),
             (calm_s + burst_s, 2 * calm_s + burst_s, calm))  # fmt: skip
    at = np.concatenate([np.arange(start, end, 1.0 / rate) for start, end, rate in spans])
    return Workload(at, np.full(len(at), 800), np.full(len(at), 120))


BURST = burst(300, 240, calm=2.0, peak=12.0)
LOST = Fault(400.0, FaultKind.REPLICA_DIES)
SILENT = Fault(320.0, FaultKind.API_UNREACHABLE, 120.0)
EMPTY = Fault(310.0, FaultKind.STOCKOUT, 200.0)
SCENARIOS: dict[str, tuple[str, tuple[Fault, ...]]] = {
    "reactive": (REACTIVE, ()),
    "learned": (LEARNED, ()),
    "budgeted": (BUDGETED, ()),
    "advised": (ADVISED, ()),
    "replica_dies": (REACTIVE, (LOST,)),
    "api_unreachable": (REACTIVE, (SILENT,)),
    "out_of_stock": (REACTIVE, (EMPTY,)),
    "resting": (RESTING, ()),
}


def decided(name: str) -> str:
    """The scenario's decisions but those that only say again what the last one said."""
    text, faults = SCENARIOS[name]
    rules = rulefiles.load_sources({"chat.yaml": text})
    service = rules.services[0]
    (pool,) = plant_for(service).pools
    spec = PlantSpec(service.service, (replace(pool, max_batch=12, faults=faults),))
    result = replay(rules, service, BURST, spec, drain_s=300.0)
    start = result.decisions[0].at
    lines: list[str] = []
    for decision in result.decisions:
        line = _line(decision)
        if not lines or line != lines[-1].partition(" ")[2]:
            lines.append(f"{decision.at - start:07.1f} {line}")
    return "\n".join(lines) + "\n"


def _line(d: Decision) -> str:
    wishes = ", ".join(f"{p.trigger} {p.replicas}" for p in d.proposals if p.replicas is not None)
    limits = ", ".join(f"{e.limit} {e.before}>{e.after}" for e in d.limits)
    return f"{d.pool} {d.current}>{d.desired} {d.outcome} {d.reason} [{wishes}] [{limits}]"
