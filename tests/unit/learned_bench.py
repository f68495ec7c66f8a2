"""A decision with something learned, as the tests of what is told of it need it."""

from poolwright.model.assessment import (
    Advantage,
    Alternative,
    Assessment,
    Basis,
    Capacity,
    ModelForecast,
)
from poolwright.model.decision import Decision, Outcome, PoolInputs, Proposal, Reason
from poolwright.model.pool import PoolReport
from poolwright.model.tick import Health

CAPACITY = Capacity(
    Basis.MEASURED, 0.0121, 0.00042, 0.010, 0.00008, 0.031, 1240.0, 0.8, 64.0, 2.1, 3.2, 6702.0,
    1.17,
)  # fmt: skip
MODELS = {
    "naive": ModelForecast(4.9, 0.06, 0.004),
    "slow_level": ModelForecast(4.6, 0.044, 0.69),
    "mean": ModelForecast(4.7, 0.046, 0.306),
}
FOUND = Assessment(
    "meet-slo", "chat", 1000.0, True, CAPACITY, 2.9, 0.0, 1.1, 1.3, 0.9, 1.4, 4.7, 0.98,
    143.0, 133.0, 7, 3300.0, 0.17, MODELS,
)  # fmt: skip
ASKED = Proposal("meet-slo", "slo", 5, {"need": 1.1})
ADVANTAGE = Advantage(
    "wse", False, "economic", "why", 0.69, 0.15, 0.62, 0.6, 40.0, 600.0, Basis.DECLARED,
    Basis.MEASURED,
    (
        Alternative("default pools", {"gpu": 9}, 36.0, 1.93, 0.0),
        Alternative("with wse", {"gpu": 1, "wse": 1}, 14.0, None, 0.0),
    ),
)  # fmt: skip
AHEAD = "4.7 replicas will be needed in 2 min 23 s (98% quantile)"


def decided(*found: Assessment, proposals: tuple[Proposal, ...] = (ASKED,), **inputs) -> Decision:
    report = PoolReport("gpu", 1000.0, 5, 5)
    seen = PoolInputs(
        1000.0, "r1", "chat", "gpu", report, (), Health(), assessments=found, **inputs
    )
    return Decision(
        "1" * 32, 1000.0, "chat", "gpu", 5, 5, Outcome.HOLD, Reason.STEADY, proposals, (), {},
        "r1", seen, b"{}",
    )  # fmt: skip
