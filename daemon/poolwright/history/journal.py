"""Past demand from the journal: what the assessments of its decisions say of it.

Every pool is decided at each heartbeat, twice a minute; an assessment carries the requests a
second of the minute before. So a row is a minute, and of each pool its last word in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from poolwright.errors import HistoryError
from poolwright.history.record import DemandRecord
from poolwright.model.decision import Decision
from poolwright.model.sample import Bools, Floats
from poolwright.model.signal import SignalStatus
from poolwright.record.journal import Journal

STEP_S: Final = 60.0
"""What `demand_per_s` is a mean of."""
UNSOUND_S: Final = 90.0
"""For so long after an outage its seconds are within the mean: a minute and a heartbeat."""
NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class _Word:
    """What a pool's decision says of demand: NaN where it has a share and was not assessed."""

    at: float
    pool: str
    sound: bool
    per_s: float
    input_tokens: float
    output_tokens: float
    shares: Mapping[str, float]
    """Of the classes; empty where the pool carries all of them."""


def journal_records(
    path: Path, services: Collection[str], since: float = 0.0
) -> Mapping[str, DemandRecord]:
    """Of the services that have a demand there. Raises JournalError and HistoryError."""
    words: dict[str, list[_Word]] = {}
    journal = Journal(path, read_only=True)
    try:
        for stored in journal.since(since):
            decision = stored.decision
            if decision.service in services and (word := _word(decision)) is not None:
                words.setdefault(decision.service, []).append(word)
    except msgspec.MsgspecError as error:
        msg = f"{path}: a decision cannot be read ({error}); it was written by another version"
        raise HistoryError(msg) from error
    finally:
        journal.close()
    return {service: _record(said) for service, said in words.items()}


def _word(decision: Decision) -> _Word | None:
    """None for a pool whose triggers know nothing of demand."""
    inputs = decision.inputs
    shares = {} if inputs.share is None else inputs.share.classes
    if not inputs.assessments and not any(shares.values()):
        return None
    fresh = all(s.status is SignalStatus.FRESH for s in inputs.signals if s.name == "demand")
    sound = fresh and not inputs.health.ingest_behind
    if not inputs.assessments:
        return _Word(decision.at, decision.pool, sound, NAN, NAN, NAN, shares)
    found = inputs.assessments[0]
    prompt, answer = (
        NAN if tokens is None else tokens for tokens in (found.input_tokens, found.output_tokens)
    )
    return _Word(decision.at, decision.pool, sound, found.demand_per_s, prompt, answer, shares)


def _record(words: list[_Word]) -> DemandRecord:
    """Rows from the first word to the last one."""
    words.sort(key=lambda word: word.at)
    believed = _believed(words)
    # A mean of the minute up to the word stands for its middle.
    cells = [int((word.at - STEP_S / 2) // STEP_S) for word in words]
    last: dict[int, dict[str, _Word]] = {}
    spoilt = set()
    for word, cell, good in zip(words, cells, believed.tolist(), strict=True):
        last.setdefault(cell, {})[word.pool] = word
        if not good:
            spoilt.add(cell)
    first = cells[0]
    rows: Floats = np.full((3, cells[-1] - first + 1), np.nan)
    for cell, pools in last.items():
        if cell not in spoilt:
            rows[:, cell - first] = _whole(list(pools.values()))
    return DemandRecord(first * STEP_S, STEP_S, rows[0], rows[1], rows[2])


def _believed(words: list[_Word]) -> Bools:
    """Which words have no outage in their minute, by those before them."""
    at = np.array([word.at for word in words])
    silent = np.diff(at, prepend=at[0]) > STEP_S
    unsound = at[silent | ~np.array([word.sound for word in words])]
    newest = np.searchsorted(unsound, at, side="right") - 1
    before = np.append(unsound, -np.inf)[newest]
    found: Bools = at - before >= UNSOUND_S
    return found


def _whole(words: list[_Word]) -> tuple[float, float, float]:
    """The service's requests a second and its mean request, from its pools' shares of it."""
    prompt = _mean([(word.per_s, word.input_tokens) for word in words])
    answer = _mean([(word.per_s, word.output_tokens) for word in words])
    classes = {name for word in words for name in word.shares}
    even = []
    for word in words:
        of_each = {word.shares.get(name, 0.0) for name in classes} or {1.0}
        if len(of_each) == 1 and not np.isnan(word.per_s):
            even.append((of_each.pop(), word.per_s))
    share, per_s = max(even, default=(0.0, 0.0))
    if share > 0.0:
        # Of every class the same share: no need to know what the other pools have.
        return per_s / share, prompt, answer
    return sum(word.per_s for word in words), prompt, answer


def _mean(pairs: list[tuple[float, float]]) -> float:
    """Weighted mean of the values (weight first) that are known; NaN without any."""
    known = [(weight, value) for weight, value in pairs if not np.isnan(weight * value)]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total > 0.0 else NAN
