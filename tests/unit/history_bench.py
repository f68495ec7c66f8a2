"""Decisions that tell a service's demand, as a journal keeps them, and the service's rules."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from poolwright.model.assessment import Assessment, Basis, Capacity, Share
from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason
from poolwright.model.rule import RuleSet
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health
from poolwright.record.journal import Journal

T0 = 1_700_000_400.0
"""A minute, and a season's bin, begins here."""
NAN = float("nan")
CAPACITY = Capacity(
    Basis.MEASURED, 0.01, 0.0002, 0.05, 0.0001, 0.02, 500.0, 0.8, 40.0, 4.0, 2.0, 4000.0, 1.0
)
FOUND = Assessment(
    "t", "chat", 0.0, True, CAPACITY, 8.0, 0.0, 4.0, 4.2, 4.2, 5.0, 6.3, 0.95, 180.0, 180.0, 0,
    7200.0, 0.2, input_tokens=800.0, output_tokens=100.0,
)  # fmt: skip
FRESH = Signal("demand", SignalStatus.FRESH, 8.0, 1.0, 10)
STALE = Signal("demand", SignalStatus.STALE, None, 90.0, 0, why=Unhealthy.TOO_OLD)
NUMBERS = itertools.count()


def said(
    at: float,
    per_s: float | None = 8.0,
    *,
    pool: str = "gpu",
    service: str = "chat",
    signal: Signal = FRESH,
    behind: bool = False,
    shares: dict[str, float] | None = None,
    tokens: tuple[float | None, float | None] = (800.0, 100.0),
) -> Decision:
    found = replace(
        FOUND, demand_per_s=per_s or 0.0, input_tokens=tokens[0], output_tokens=tokens[1]
    )
    inputs = PoolInputs(
        T0 + at, "r1", service, pool, None, (replace(FRESH, name="other"), signal), Health(behind),
        assessments=() if per_s is None else (found,),
        share=None if shares is None else Share(shares, None),
    )  # fmt: skip
    return Decision(
        f"{next(NUMBERS):032x}", T0 + at, service, pool, 1, 1, Outcome.HOLD, Reason.STEADY, (), (),
        {}, "r1", inputs, b"{}",
    )  # fmt: skip


RULES = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {ttft: 2s, itl: 60ms, attainment: 95%}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 1, max: 6}
    price: 4 USD/h
    startup: 60s
    profile: {itl_base: 10ms, itl_per_request: 1ms, prefill_base: 10ms, prefill_per_token: 0.1ms,
              max_batch: 16}
triggers:
  - {name: meet, slo: chat}
"""


def recorded(folder: Path, per_s: float, first: float, end: float) -> None:
    journal = Journal(folder / "journal.db")
    words = [said(at, per_s) for at in np.arange(first, end, 30.0).tolist()]
    journal.record_tick(T0, words, RuleSet("r1", (), {}))
    journal.close()
