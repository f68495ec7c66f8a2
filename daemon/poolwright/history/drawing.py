"""Requests to play, drawn from a record that only knows how many there were and how long.

What a record does not have is made up, always the same way for a seed: times within a row are
those of a Poisson process, lengths are lognormal around the row's means. A row of which nothing is
known is left out, and what follows it follows at once: a pause would be a quiet time that nobody
has seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from poolwright.errors import HistoryError
from poolwright.history.record import DemandRecord
from poolwright.model.sample import Floats
from poolwright.simulation.workloads import Workload

VARIATION: Final = 1.0
"""Standard deviation of a length over its mean: public traces have 1 to 2."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A workload, and what it lacks of the record."""

    workload: Workload
    gaps: int
    left_out_s: float


def draw(record: DemandRecord, seed: int) -> Drawn:
    """Raises HistoryError where nothing arrived, or no length is known."""
    known = record.known
    rows = np.flatnonzero(known)
    per_s = record.requests_per_s[rows]
    if not per_s.sum() > 0.0:
        msg = "it knows of no requests in this time"
        raise HistoryError(msg)
    random = np.random.default_rng(seed)
    counts = random.poisson(per_s * record.step_s)
    row = np.repeat(np.arange(len(rows)), counts)
    at = np.sort((row + random.random(len(row))) * record.step_s)
    inside = known[rows[0] : rows[-1] + 1]
    return Drawn(
        Workload(
            at - at[0] if len(at) else at,
            _lengths(record.input_tokens[rows], per_s, row, random),
            _lengths(record.output_tokens[rows], per_s, row, random),
        ),
        int((np.diff(inside.astype(np.int8)) < 0).sum()),
        float((~inside).sum()) * record.step_s,
    )


def _lengths(
    means: Floats, per_s: Floats, row: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Tokens of each request by the mean of its row; rows without one have that of all."""
    told = ~np.isnan(means) & (per_s > 0.0)
    if not told.any():
        msg = "it does not say how long prompts and answers were"
        raise HistoryError(msg)
    usual = np.average(means[told], weights=per_s[told])
    mean = np.maximum(np.where(told, means, usual), 1.0)[row]
    spread = np.log1p(VARIATION**2)
    drawn = random.lognormal(np.log(mean) - spread / 2, np.sqrt(spread))
    found: npt.NDArray[np.int64] = np.maximum(np.rint(drawn), 1.0).astype(np.int64)
    return found
