"""What a pool remembers between ticks: cooldowns, step windows, stabilisation, holds, stock.

All of it is in one frozen value that the journal and the checkpoint keep, so that a restart
resets none of it and a decision can be decided again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

import msgspec

from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.triggers import TriggerMemory

SETTLE_S = 5.0
"""A report this much newer than a command is believed over it when no action report says more."""
STOCK_BACKOFF_S = 60.0
STOCK_BACKOFF_MAX_S = 900.0
ABSENCE_S = 60.0
"""A rebalance or restart takes seconds and resets nothing; a longer one may hide a need."""
KEPT_CAUSES = frozenset({"not_ready_in_time", "daemon_restarted", "stopping", "superseded"})
"""Given up after the provider may well have obeyed: the next report says what became of it."""
FAILURE_BACKOFF_S = 5.0
FAILURE_BACKOFF_MAX_S = 300.0
LEAVING_S = 600.0
"""A replica that was told to go is believed to be going for so long: it ends its requests first."""


@dataclass(frozen=True, slots=True)
class Command:
    """The last count that a decision set, until a later report is believed over it."""

    count: int
    at: float
    decision_id: str
    changed_before_at: float | None
    """The pool's last change before this one: what a refusal goes back to."""
    in_flight: bool = False
    ours_before: int | None = None
    """The pool's `ours` before it."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The replicas that a decision named to go first."""

    decision_id: str
    at: float
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The last decision that was recorded: what makes the next one a mere check."""

    at: float
    outcome: str
    reason: str
    current: int
    desired: int
    revision: str


@dataclass(frozen=True, slots=True)
class PoolMemory:
    counts: tuple[tuple[float, int], ...] = ()
    """(at, count) of every change of the told count, the newest last."""
    highest: tuple[tuple[float, int], ...] = ()
    """Merged proposals that may still be a maximum of the stabilisation window (falling)."""
    lowest: tuple[tuple[float, int], ...] = ()
    observed_since: float | None = None
    """Since when proposals were observed without a break."""
    triggers: Mapping[str, TriggerMemory] = field(default_factory=dict)
    command: Command | None = None
    last_change_at: float | None = None
    stock_until: float | None = None
    stock_failures: int = 0
    failing_until: float | None = None
    failures: int = 0
    recorded: Recorded | None = None
    wish: int | None = None
    """What the pool would go to if only its pace and the fleet held it back; None: not known."""
    keeps: bool = False
    """It may not shrink now, whoever asks: telemetry is unhealthy, or a freeze is active."""
    startup_s: tuple[float, ...] = ()
    """The last measured start-up times, at most 20."""
    leaving: tuple[Leaving, ...] = ()
    """What was told to go within the last `LEAVING_S`, the newest last."""
    ours: int | None = None
    """The count that was last set, or accepted, by the rules; None: the next report's will be."""
    quiet_since: float | None = None
    """Since when the pool has had nothing to do, without a break; None: it has, or may have."""


_decode = msgspec.json.Decoder(PoolMemory)


def encode_memory(memory: PoolMemory) -> bytes:
    """Memory as JSON, the same bytes for the same memory."""
    return msgspec.json.encode(memory, order="sorted")


def decode_memory(data: bytes) -> PoolMemory:
    """The inverse of `encode_memory`."""
    return _decode.decode(data)


def last_count(memory: PoolMemory) -> int:
    """The last count known of a pool that does not report; 0 where none ever was."""
    return memory.counts[-1][1] if memory.counts else 0


def current_count(memory: PoolMemory, report: PoolReport) -> int:
    """The count that the pool was last told, by whoever."""
    command = memory.command
    if command is not None and (command.in_flight or report.at < command.at + SETTLE_S):
        return command.count
    return report.desired


def fold_action(memory: PoolMemory, action: ActionReport) -> PoolMemory:
    """What an action's progress changes in the pool's memory."""
    if action.startup_s is not None:
        memory = replace(memory, startup_s=(*memory.startup_s, action.startup_s)[-20:])
    if _never_happened(action):
        stays = tuple(left for left in memory.leaving if left.decision_id != action.decision_id)
        memory = replace(memory, leaving=stays)
    command = memory.command
    if command is None or command.decision_id != action.decision_id:
        return memory
    match action.status:
        case ActionStatus.STARTED:
            return replace(memory, command=replace(command, in_flight=True))
        case ActionStatus.DONE:
            return replace(
                memory,
                command=replace(command, in_flight=False, at=action.at),
                stock_until=None,
                stock_failures=0,
                failing_until=None,
                failures=0,
            )
        case ActionStatus.REFUSED | ActionStatus.GIVEN_UP:
            return _fold_failure(memory, command, action)
        case ActionStatus.CONFIRMED:
            return memory
        case _:
            assert_never(action.status)


def _fold_failure(memory: PoolMemory, command: Command, action: ActionReport) -> PoolMemory:
    given_up = action.status is ActionStatus.GIVEN_UP
    if given_up and action.cause in KEPT_CAUSES:
        return replace(memory, command=None, ours=None)
    if action.cause == "no_capacity":
        # Where the order was taken it stands: the provider says that its replicas do not come.
        return replace(
            memory if given_up else _undo(memory, command),
            stock_until=action.at
            + _backoff_s(memory.stock_failures, STOCK_BACKOFF_S, STOCK_BACKOFF_MAX_S),
            stock_failures=memory.stock_failures + 1,
        )
    undone = _undo(memory, command)
    if action.cause == "changed_outside":
        undone = replace(undone, ours=command.ours_before)
    return replace(
        undone,
        failing_until=action.at
        + _backoff_s(memory.failures, FAILURE_BACKOFF_S, FAILURE_BACKOFF_MAX_S),
        failures=memory.failures + 1,
    )


def _backoff_s(failures: int, first_s: float, most_s: float) -> float:
    return min(first_s * 2.0 ** min(failures, 8), most_s)


def _never_happened(action: ActionReport) -> bool:
    kept = KEPT_CAUSES | {"no_capacity"}
    given_up = action.status is ActionStatus.GIVEN_UP and action.cause not in kept
    return given_up or action.status is ActionStatus.REFUSED


def fold_leaving(memory: PoolMemory, at: float) -> PoolMemory:
    """Forgets what was told to go so long ago that it has left, or was never let go."""
    if not memory.leaving or at - memory.leaving[0].at <= LEAVING_S:
        return memory
    return replace(memory, leaving=tuple(x for x in memory.leaving if at - x.at <= LEAVING_S))


def _undo(memory: PoolMemory, command: Command) -> PoolMemory:
    """A change that never happened starts no cooldown and fills no step window.

    What the target has now, perhaps a part of what was asked, is nobody else's doing.
    """
    counts = memory.counts
    if len(counts) > 1 and counts[-1][1] == command.count:
        counts = counts[:-1]
    return replace(
        memory,
        command=None,
        counts=counts,
        last_change_at=command.changed_before_at,
        ours=None,
    )


def fold_count(memory: PoolMemory, count: int, at: float, keep_s: float) -> PoolMemory:
    """Notes a changed count and forgets those that no window can reach any more."""
    counts = memory.counts
    if not counts or counts[-1][1] != count:
        counts = (*counts, (at, count))
    first = 0
    while first + 1 < len(counts) and counts[first + 1][0] <= at - keep_s:
        first += 1
    counts = counts[first:]
    return memory if counts == memory.counts else replace(memory, counts=counts)


def fold_wish(
    memory: PoolMemory, wish: int, at: float, *, up_s: float, down_s: float
) -> PoolMemory:
    """Adds a merged proposal to the stabilisation windows (monotonic queues: few entries)."""
    highest = [(t, n) for t, n in memory.highest if n > wish and t > at - down_s]
    lowest = [(t, n) for t, n in memory.lowest if n < wish and t > at - up_s]
    since = at if memory.observed_since is None else memory.observed_since
    return replace(
        memory,
        highest=(*highest, (at, wish)),
        lowest=(*lowest, (at, wish)),
        observed_since=since,
    )


def observe_anew(memory: PoolMemory, at: float) -> PoolMemory:
    """Memory of a pool that comes back at `at`: after an absence it observes from the start.

    Cooldowns, counts and back-offs stay, whoever changed the pool; another instance may have.
    """
    if memory.highest and at - memory.highest[-1][0] <= ABSENCE_S:
        return memory
    return replace(
        memory,
        highest=(),
        lowest=(),
        observed_since=None,
        triggers={},
        wish=None,
        ours=None,
        quiet_since=None,
    )
