"""A statistic and why it may not be used → a signal."""

from poolwright.model.rule import SignalRule
from poolwright.model.signal import Signal, SignalStatus, Unhealthy


def signal_of(
    rule: SignalRule,
    why: Unhealthy | None,
    value: float | None,
    age_s: float | None,
    samples: int,
    reporting: int,
    expected: int,
) -> Signal:
    """Fresh without a `why`; else the value is only kept for people to read."""
    match why:
        case None:
            status = SignalStatus.FRESH
        case Unhealthy.TOO_OLD:
            status = SignalStatus.STALE
        case _:
            status = SignalStatus.MISSING
    return Signal(
        rule.name,
        status,
        value if why is None else None,
        age_s,
        samples,
        reporting,
        expected,
        why,
        None if why is None else value,
    )
