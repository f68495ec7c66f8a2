"""The times that requests really took in an accelerator against those in the default pools.

Of each class that both serve, the p95 of every time that its SLO names. Where several default pools
serve a class, the quickest of them counts: an advantage has to be one over the best.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from poolwright.capacity.ended import EndedTimes, Measured
from poolwright.model.assessment import Comparison
from poolwright.model.rule import ClassRule

NOTHING: Final = EndedTimes()
"""Of a pool in which no request of the class ever ended."""


def compare(
    rule: ClassRule, mine: EndedTimes, defaults: Mapping[str, EndedTimes], at: float
) -> list[Comparison]:
    """One for each time of the class, with the default pools that serve it (at least one)."""
    measured = mine.measured(at)
    others = {pool: ended.measured(at) for pool, ended in defaults.items()}
    return [
        _comparison(rule.name, time, measured[time], {p: o[time] for p, o in others.items()})
        for time in named(rule)
    ]


def named(rule: ClassRule) -> list[str]:
    """The times that a class's SLO names."""
    limits = {"ttft": rule.ttft_s, "itl": rule.itl_s, "e2e": rule.e2e_s}
    return [time for time, limit in limits.items() if limit is not None]


def _comparison(
    request_class: str, time: str, mine: Measured, others: Mapping[str, Measured]
) -> Comparison:
    # Those with a p95 first, the smallest of all; without any, the one that has the most requests.
    pool = min(
        others,
        key=lambda name: (others[name].p95_s is None, others[name].p95_s or 0.0,
                          -others[name].requests),
    )  # fmt: skip
    other = others[pool]
    # A time of 0 s is no yardstick.
    known = mine.p95_s is not None and bool(other.p95_s)
    return Comparison(
        request_class,
        time,
        mine.requests,
        mine.p95_s,
        pool,
        other.requests,
        other.p95_s,
        1.0 - (mine.p95_s or 0.0) / (other.p95_s or 1.0) if known else None,
    )


def better(comparisons: Sequence[Comparison], margin: float) -> tuple[Comparison, ...]:
    """Of each class that is better in one of its times by the margin, and worse in none, the best.

    A class of which any time is not known on both sides says nothing.
    """
    found = []
    for _, group in groupby(comparisons, key=lambda one: one.request_class):
        times = list(group)
        margins = [one.margin for one in times if one.margin is not None]
        if len(margins) == len(times) and min(margins) >= 0.0 and max(margins) >= margin:
            found.append(times[margins.index(max(margins))])
    return tuple(found)
