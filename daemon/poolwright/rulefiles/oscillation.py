"""Rules that undo one another for ever at a constant load, found by a load that shows it.

The search believes nothing but the compiled conditions: it looks for a load (one value for each
signal, whatever the count of replicas) at which the pool would remove, then add, and come back to
where it was. An alarm therefore always has its example. What has no example is not proven right:
values are tried around the numbers that the conditions name, and where that would be too many, or
a condition asks for what depends on the count in an unknown way, nothing is said.

A fight needs one and the same signal on both sides. `waiting / ready > 8` and `running / ready < 9`
come into one only at loads that do not occur, where the queue is long and nobody is served.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final, assert_never

from poolwright.model.rule import (
    Change,
    PoolRule,
    ScheduleTrigger,
    ServiceRule,
    SignalRule,
    TargetTrigger,
    ThresholdTrigger,
    Trigger,
)
from poolwright.model.sample import REPLICA_METRICS
from poolwright.rulefiles.conditions import names_in, numbers_in

Load = Mapping[str, float]

COUNTS: Final = frozenset({"ready", "desired", "starting"})
_UNDECIDED: Final = frozenset({"cost", "hour", "weekday"})
_FRACTIONS: Final = frozenset({"kv_cache_usage", "cache_hit", "gpu_utilisation"})
_DECIDED: Final = (ThresholdTrigger, TargetTrigger, ScheduleTrigger)
"""Kinds of which the wish is known here; any other may hold a pool where two of these fight."""
_MOST_COUNTS: Final = 12
"""Removing one of n changes the load of a replica by 1/(n-1): few replicas are where it shows."""
_MOST_LOADS: Final = 1500


@dataclass(frozen=True, slots=True)
class Fight:
    """`down` and `up` are names of triggers; `low` is `high` where both hold at once.

    `load` has a value for every signal of the pool's triggers that matters, `about` names those
    of these two triggers.
    """

    down: str
    up: str
    high: int
    low: int
    load: Load
    about: frozenset[str]


def find_fights(service: ServiceRule, pool: PoolRule) -> list[Fight]:
    """At most one for each pair of the pool's triggers."""
    found: dict[tuple[str, str], Fight] = {}
    for fight in _Search(service, pool).fights():
        found.setdefault((fight.down, fight.up), fight)
    return list(found.values())


def _names(trigger: Trigger) -> frozenset[str]:
    match trigger:
        case ThresholdTrigger():
            return trigger.when.names
        case TargetTrigger():
            return frozenset({trigger.signal})
        case _:
            return frozenset()


def _wish(trigger: Trigger, count: int, load: Load) -> int | None:
    """What it asks of a pool of which all `count` replicas are ready; schedules are idle."""
    values = {**load, "ready": float(count), "desired": float(count), "starting": 0.0}
    match trigger:
        case ThresholdTrigger():
            known = {name: values[name] for name in trigger.when.names}
            return _change(trigger, count) if trigger.when.evaluate(known) is True else None
        case TargetTrigger():
            return _target(trigger, count, values[trigger.signal])
        case _:
            return None


def _change(trigger: ThresholdTrigger, count: int) -> int:
    match trigger.change:
        case Change.ADD:
            return count + trigger.amount.of(count)
        case Change.REMOVE:
            return max(0, count - trigger.amount.of(count))
        case Change.SET:
            return trigger.amount.replicas
        case _:
            assert_never(trigger.change)


def _target(trigger: TargetTrigger, count: int, value: float) -> int:
    ratio = value / trigger.per_replica
    wanted = math.ceil(ratio - 1e-9)
    if wanted > count:
        return count if ratio <= count * (1 + trigger.tolerance) else wanted
    return min(count, math.ceil(ratio / (1 - trigger.tolerance) - 1e-9))


def _direction(wish: int | None, count: int) -> int:
    """1 for more, -1 for fewer, 0 for neither."""
    return 0 if wish is None else (wish > count) - (wish < count)


class _Search:
    def __init__(self, service: ServiceRule, pool: PoolRule) -> None:
        self._pool = pool
        self._limits = service.limits
        self._triggers = service.triggers_of(pool)
        self._signals = {signal.name: signal for signal in service.signals}
        self._names = sorted({n for t in self._triggers for n in _names(t)} - COUNTS)
        first = max(pool.min_replicas, 1) + 1
        self._counts = range(first, min(pool.max_replicas + 1, first + _MOST_COUNTS))

    def fights(self) -> Iterator[Fight]:
        if _UNDECIDED.intersection(self._names):
            return
        for down in self._triggers:
            for up in self._triggers:
                if isinstance(up, ThresholdTrigger) and up.change is Change.ADD:
                    yield from self._overlap(down, up)
        if not all(isinstance(trigger, _DECIDED) for trigger in self._triggers):
            return
        pairs = {
            (down.name, up.name)
            for down in self._triggers
            for up in self._triggers
            if down is not up and any(map(self._is_load, _names(down) & _names(up)))
        }
        for count in self._counts if pairs else ():
            for load in self._loads(count, self._names):
                if fight := self._returns(count, load, pairs):
                    yield fight
                    pairs.discard((fight.down, fight.up))

    def _overlap(self, down: Trigger, up: ThresholdTrigger) -> Iterator[Fight]:
        """`down` asks for fewer where `up` adds whatever else may be: it can never have its way."""
        own = _names(down) - COUNTS
        if not isinstance(down, ThresholdTrigger) or len(own) != 1 or not own <= up.when.names:
            return
        others = sorted(_names(up) - COUNTS - own)
        for count in self._counts:
            gates = list(self._loads(count, others))
            for load in self._loads(count, sorted(own)):
                wish = _wish(down, count, load)
                if wish is None or wish >= count or not gates:
                    continue
                if all(_wish(up, count, {**gate, **load}) is not None for gate in gates):
                    yield Fight(down.name, up.name, count, count, load, own)
                    return

    def _returns(self, high: int, load: Load, pairs: Collection[tuple[str, str]]) -> Fight | None:
        low, down = self._next(high, load)
        if not 1 <= low < high or down is None:
            # Without a replica no replica reports: what its signals say is not known.
            return None
        count, up = self._next(low, load)
        if count <= low or up is None or (down.name, up.name) not in pairs:
            return None
        seen: set[int] = set()
        while count != high:
            if count in seen:
                return None
            seen.add(count)
            count = self._next(count, load)[0]
        shared = [n for n in sorted(_names(down) & _names(up)) if self._is_load(n)]
        foreign = [n for n in sorted(_names(up) - _names(down)) if self._is_load(n)]
        # A load that only `up` needs would have to be high just where `down` sees idle replicas.
        if any(self._needs(up, low, load, name) for name in foreign) or not any(
            self._needs(down, high, load, name) and self._needs(up, low, load, name)
            for name in shared
        ):
            return None
        return Fight(down.name, up.name, high, low, load, (_names(down) | _names(up)) - COUNTS)

    def _needs(self, trigger: Trigger, count: int, load: Load, name: str) -> bool:
        """Whether another value of the signal would change the trigger's direction."""
        wish = _wish(trigger, count, load)
        return any(
            _direction(_wish(trigger, count, {**load, name: value}), count)
            != _direction(wish, count)
            for value in self._values(name, count)
        )

    def _next(self, count: int, load: Load) -> tuple[int, Trigger | None]:
        """The count that the merge of all wishes leads to, and the trigger that asked for it."""
        wishes = [
            (wish, trigger)
            for trigger in self._triggers
            if (wish := _wish(trigger, count, load)) is not None
        ]
        if not wishes:
            return count, None
        highest, trigger = max(wishes, key=lambda pair: pair[0])
        least, most = self._steps(count)
        bounded = min(max(highest, self._pool.min_replicas), self._pool.max_replicas)
        return min(max(bounded, least), most), trigger

    def _steps(self, count: int) -> tuple[int, int]:
        up, down = self._limits.up.step, self._limits.down.step
        return count - down.of(count), count + up.of(count)

    def _is_load(self, name: str) -> bool:
        """Whether the signal is a total, which stays when the replicas that share it change."""
        if name == "demand":
            return True
        rule = self._signals.get(name)
        if rule is None or rule.builtin:
            return False
        if rule.metric in REPLICA_METRICS:
            return rule.across == "sum" and rule.metric not in _FRACTIONS
        return rule.metric in ("rate", "arrivals", "arrival_tokens") or rule.stat in (
            "rate",
            "sum",
            "count",
        )

    def _loads(self, count: int, names: Collection[str]) -> Iterator[Load]:
        """One load for each combination of values that the conditions may tell apart."""
        values = [self._values(name, count) for name in names]
        if math.prod(map(len, values)) <= _MOST_LOADS:
            for combination in product(*values):
                yield dict(zip(names, combination, strict=True))

    def _values(self, name: str, count: int) -> list[float]:
        most = 1.0 if _is_fraction(self._signals.get(name)) else math.inf
        edges = sorted({0.0, *(e for e in self._edges(name, count) if 0 <= e <= most)})
        beyond = most if most < math.inf else 2 * edges[-1] + 2
        values = {_round_between(*pair) for pair in pairwise([*edges, beyond]) if pair[0] < pair[1]}
        # An edge itself counts only where a load can stand on it: at a whole number.
        values |= {edge for edge in edges if edge and edge == int(edge)}
        return sorted(values)

    def _edges(self, name: str, count: int) -> Iterator[float]:
        """Values of the signal at which some trigger may change its wish."""
        counts = {count, count - 1, *(n for t in self._triggers for n in self._after(t, count))}
        for trigger in self._triggers:
            match trigger:
                case ThresholdTrigger():
                    for comparison in re.split(r"&&|\|\||[?:]", trigger.when.source):
                        if name in names_in(comparison):
                            yield from _edges_of(comparison, counts)
                case TargetTrigger() if trigger.signal == name:
                    for n, tolerance in product(counts, (0.0, trigger.tolerance)):
                        yield trigger.per_replica * n * (1 + tolerance)
                        yield trigger.per_replica * n * (1 - tolerance)
                case _:
                    pass

    def _after(self, trigger: Trigger, count: int) -> set[int]:
        """The count that a removal leads to."""
        if not isinstance(trigger, ThresholdTrigger) or trigger.change is not Change.REMOVE:
            return set()
        least, _ = self._steps(count)
        return {max(count - trigger.amount.of(count), least, self._pool.min_replicas)}


def _edges_of(comparison: str, counts: Collection[int]) -> Iterator[float]:
    """Where the comparison may change its answer, if it is a product of its numbers and counts."""
    numbers = numbers_in(comparison)
    bases = {*numbers, *(a * b for a in numbers for b in numbers if a != b)}
    bases |= {a / b for a in numbers for b in numbers if b and a != b}
    for base in bases or {1.0}:
        yield base
        if COUNTS & names_in(comparison):
            for count in counts:
                yield base * count
                if count:
                    yield base / count
                if base:
                    yield count / base


def _round_between(low: float, high: float) -> float:
    """A number between the two that reads well."""
    middle = (low + high) / 2
    for digits in range(4):
        if low < (rounded := round(middle, digits)) < high:
            return rounded
    return middle


def _is_fraction(signal: SignalRule | None) -> bool:
    return (
        signal is not None
        and signal.metric in _FRACTIONS
        and signal.across != "sum"
        and signal.stat not in ("rate", "sum", "count", "slope")
    )


def describe(fight: Fight) -> str:
    """The load, as far as it is about the two triggers."""
    return " and ".join(f"{name} = {fight.load[name]:g}" for name in sorted(fight.about))
