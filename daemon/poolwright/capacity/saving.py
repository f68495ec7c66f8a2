"""What was learned as bytes and back, so that a restart resets nothing."""

from typing import Any, Final

import msgspec
import numpy as np

from poolwright.capacity import narrow
from poolwright.capacity.advantage import Holding
from poolwright.capacity.batch import BatchLimit
from poolwright.capacity.calibration import OF_ALL, Calibration
from poolwright.capacity.demand import AHEAD_S, HISTORY_S, RING_S, ClassDemand, Demand
from poolwright.capacity.drift import Drift
from poolwright.capacity.ended import EndedTimes
from poolwright.capacity.kept import ARRIVED, END, INPUT, OUTPUT, REPLICA, KeptRequests
from poolwright.capacity.learner import Block, ServiceLearner
from poolwright.capacity.paces import Paces
from poolwright.capacity.pool_learner import PoolLearner
from poolwright.capacity.speed import Speed, SpeedEstimator
from poolwright.capacity.startup import StartupTimes
from poolwright.forecasting.season import Season
from poolwright.model.sample import Bools, Floats

FORMAT: Final = 5
BATCH_OF_MOMENTS: Final = 4
"""The format before: it took whoever waits for a sign of a full batch, so that is learned anew."""
WIDE: Final = 3
"""That before: floats throughout, and a row of six for each request of the regression."""
WITHOUT_ASKED_SINCE: Final = 2
"""That before: its demand did not say when the first request came."""
KINDS: Final = {
    kind.__name__: kind
    for kind in (
        BatchLimit,
        Calibration,
        ClassDemand,
        Demand,
        Drift,
        EndedTimes,
        Paces,
        KeptRequests,
        PoolLearner,
        Season,
        SpeedEstimator,
        StartupTimes,
    )
}


def dump_learner(learner: ServiceLearner) -> bytes:
    """Everything, what was worked out for the present block of time included."""
    parts = (learner.demand, learner.pools, learner.planner.holdings)
    block = msgspec.msgpack.encode(learner.block)
    return msgspec.msgpack.encode((FORMAT, *(_plain(part) for part in parts), block))


def load_learner(learner: ServiceLearner, data: bytes) -> None:
    """Puts what was saved into a new learner of the same service; pools that went are left out.

    Raises msgspec.ValidationError for another format.
    """
    written, *parts = msgspec.msgpack.decode(data, strict=False)
    if written not in {FORMAT, BATCH_OF_MOMENTS, WIDE, WITHOUT_ASKED_SINCE}:
        msg = f"learned values of format {written}, this version reads 2 to {FORMAT}"
        raise msgspec.ValidationError(msg)
    demand, pools, holdings, block = parts
    learner.demand = _value(demand)
    if written == WITHOUT_ASKED_SINCE:
        learner.demand.asked_since = learner.demand.since
    known = _value(pools)
    learner.pools = {
        name: _completed(known[name], pool) if name in known else pool
        for name, pool in learner.pools.items()
    }
    learner.planner.holdings = _value(holdings)
    learner.block = msgspec.msgpack.decode(block, type=Block)
    if written in {WIDE, WITHOUT_ASKED_SINCE}:
        asked = {found.request_class for found in learner.block.assessed.values()}
        _narrow(learner, asked.pop() if len(asked) == 1 else OF_ALL)


def _completed(pool: PoolLearner, new: PoolLearner) -> PoolLearner:
    """What an older version did not know yet is as in a new learner."""
    for part, fresh in ((pool, new), (pool.drift, new.drift)):
        for slot in type(fresh).__slots__:
            if not hasattr(part, slot):
                setattr(part, slot, getattr(fresh, slot))
    return pool


def _narrow(learner: ServiceLearner, of: str) -> None:
    """In as few bytes as this version needs, and by request class what was of all."""
    for known in learner.demand.classes.values():
        known.requests = narrow.narrowed(known.requests)
        known.input_tokens = narrow.narrowed(known.input_tokens)
    for pool in learner.pools.values():
        pool.ready = narrow.narrowed(pool.ready)
        told: list[Any] = pool.outcomes
        pool.outcomes = [(of, attainment, rows) for attainment, rows in told]
        pool.calibration.share_leeway(of)


def _plain(value: Any) -> Any:  # noqa: PLR0911  one line a kind of value
    match value:
        case np.ndarray():
            return ["array", value.dtype.str, list(value.shape), value.tobytes()]
        case list():
            return ["list", [_plain(item) for item in value]]
        case Holding():
            return ["holding", value.granted, value.since, value.changed_at]
        case dict():
            return ["map", [[key, _plain(item)] for key, item in value.items()]]
        case tuple():
            return ["tuple", [_plain(item) for item in value]]
        case Speed():
            return ["speed", _figures(value)]
        case _ if type(value).__name__ in KINDS:
            slots = [[name, _plain(getattr(value, name))] for name in type(value).__slots__]
            return ["object", type(value).__name__, slots]
        case _:
            return value


def _figures(speed: Speed) -> list[float]:
    return [
        speed.itl_base_s,
        speed.itl_per_request_s,
        speed.prefill_base_s,
        speed.prefill_per_token_s,
    ]


def _value(plain: Any) -> Any:  # noqa: PLR0911  one line a kind of value
    match plain:
        case ["array", kind, shape, data]:
            return np.frombuffer(data, dtype=kind).reshape(shape).copy()
        case ["deque", _, items]:  # formats 2 and 3
            return items
        case ["map", items]:
            return {key: _value(item) for key, item in items}
        case ["tuple", items]:
            return tuple(_value(item) for item in items)
        case ["list", items]:
            return [_value(item) for item in items]
        case ["holding", granted, since, changed_at]:
            return Holding(granted, since, changed_at)
        case ["speed", figures]:
            return Speed(*figures)
        case ["object", name, slots]:
            return _object(KINDS[name], slots)
        case _:
            return plain


def _object(kind: Any, slots: list[tuple[str, Any]]) -> Any:
    """What an older version kept and this one does not is let go."""
    made = object.__new__(kind)
    for slot, item in slots:
        if slot in kind.__slots__:
            setattr(made, slot, _value(item))
        elif kind is SpeedEstimator and slot == "_rows":
            made._kept = _kept(_value(item))
    if kind is Demand and isinstance(made.heard, np.ndarray):
        made.heard = _spells(made.heard, made.newest)
    return made


def _kept(rows: Floats) -> KeptRequests:
    """Those that formats 2 and 3 had as rows."""
    kept = KeptRequests()
    ttft_s, decode_s = np.diff(rows[:, ARRIVED : END + 1], axis=1).T
    replica, tokens = rows[:, REPLICA].astype(np.int32), (rows[:, INPUT], rows[:, OUTPUT])
    kept.add(replica, rows[:, END], ttft_s, decode_s, tokens)
    return kept


def _spells(ring: Bools, newest: int | None) -> list[tuple[int, int]]:
    """What was a ring of one value a second."""
    if newest is None:
        return []
    seconds = np.arange(newest - HISTORY_S + 1, newest + AHEAD_S + 1)
    heard = np.concatenate(([False], ring[seconds % RING_S], [False])).astype(np.int8)
    steps = np.diff(heard)
    first, last = seconds[steps[:-1] == 1], seconds[steps[1:] == -1]
    return list(zip(first.tolist(), last.tolist(), strict=True))
