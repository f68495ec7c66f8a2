"""What a replica did while one of its requests decoded, from when its requests began and ended.

All requests of a batch see the same iterations. So those of a request's own time are its tokens,
and the batch is averaged over just these, dense where the requests that ran were quick. Were each
of its companions counted at the companion's own pace, errors of a batch that hardly varies would
look like variation, and no regression could tell an iteration's cost from a token's.

Who still runs has not told of itself yet. How many these are follows from how long requests take,
so that what is seen can be scaled up.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from poolwright.model.sample import Floats

LEAST_SEEN: Final = 0.5
"""Less than this share of a company is not scaled up: it would be noise."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Requests that one replica, or several alike, have ended.

    Epoch seconds and tokens, one array a figure.
    """

    first: Floats
    end: Floats
    """Of the first and the last token."""
    made: Floats
    """Tokens after the first."""
    inputs: Floats


@dataclass(frozen=True, slots=True)
class Stays:
    """How long requests decode, judged by those that ended.

    `seconds` rise; `weights` make up for long ones that began too late to have ended.
    """

    seconds: Floats
    weights: Floats

    @classmethod
    def of(cls, seconds: Floats, watched_s: float) -> Self:
        """`watched_s`: for how long all that began is known; infinite where that is no matter."""
        rising = np.sort(seconds)
        if not np.isfinite(watched_s):
            return cls(rising, np.ones(len(rising)))
        # Of those that take d seconds, only who began in the first watched - d have ended.
        return cls(rising, watched_s / np.maximum(watched_s - rising, 1.0))

    def quantile(self, share: float) -> float:
        """Seconds that this share of the requests do not exceed."""
        sums = np.cumsum(self.weights)
        where = int(np.searchsorted(sums, share * sums[-1]))
        return float(self.seconds[min(where, len(self.seconds) - 1)])

    def begun(self, left_s: Floats) -> Floats:
        """Share of the requests that began so long ago that has ended since."""
        sums = np.concatenate(([0.0], np.cumsum(self.weights)))
        ended = sums[np.searchsorted(self.seconds, left_s, side="right")]
        share: Floats = np.maximum(ended / sums[-1], LEAST_SEEN)
        return share

    def running(self, left_s: Floats) -> Floats:
        """Share of the requests that ran so long ago that has ended since."""
        weights = np.concatenate(([0.0], np.cumsum(self.weights)))
        stayed = np.concatenate(([0.0], np.cumsum(self.weights * self.seconds)))
        below = np.searchsorted(self.seconds, left_s, side="right")
        # Of a longer one, those have ended that were in their last seconds.
        ended = stayed[below] + left_s * (weights[-1] - weights[below])
        share: Floats = np.clip(ended / max(stayed[-1], 1e-9), LEAST_SEEN, 1.0)
        return share


def company(ended: Ended, stays: Stays, now: float, alike: float = 1.0) -> Floats:
    """Iterations, tokens, prefills and prompt tokens of the replica while each request decoded.

    All that has ended by `now` is known. Shape (requests, 4); zeros for a request that made
    nothing or took no time. Of the others that so many replicas `alike` ended together, each
    replica has its even part.
    """
    decoded = np.flatnonzero((ended.made > 0.0) & (ended.end > ended.first))
    first, end, made = ended.first[decoded], ended.end[decoded], ended.made[decoded]
    found = np.zeros((len(ended.first), 4))
    found[decoded, 0] = made
    found[decoded, 1] = made * (1.0 + _others(first, end, made, stays, now) / alike)
    # A prefill gives the first token, so it was done by then: the request's own came before.
    order = np.argsort(ended.first, kind="stable")
    begun = ended.first[order]
    since, until = (np.searchsorted(begun, at, side="right") for at in (first, end))
    each = 1.0 / (alike * stays.begun(now - begun))
    for column, amounts in ((2, each), (3, each * ended.inputs[order])):
        sums = np.concatenate(([0.0], np.cumsum(amounts)))
        found[decoded, column] = sums[until] - sums[since]
    return found


def _others(first: Floats, end: Floats, made: Floats, stays: Stays, now: float) -> Floats:
    """How many others were in the batch, on average over the iterations that each request saw."""
    count = len(first)
    order = np.argsort(np.concatenate((first, end)), kind="stable")
    at = np.concatenate((first, end))[order]
    where = np.empty(2 * count, dtype=np.intp)
    where[order] = np.arange(2 * count)
    begins, ends = where[:count], where[count:]

    def running(values: Floats) -> Floats:
        """Their sum over those that run, in each span between two events."""
        steps = np.zeros(2 * count)
        steps[begins], steps[ends] = values, -values
        total: Floats = np.cumsum(steps)[:-1]
        return total

    def within(values: Floats) -> Floats:
        """Their sum over the spans of each request."""
        sums = np.concatenate(([0.0], np.cumsum(values)))
        total: Floats = sums[ends] - sums[begins]
        return np.maximum(total, 1e-9)

    batch = np.maximum(np.round(running(np.ones(count))), 1.0)
    iterations = running(made / (end - first)) / batch * np.diff(at)
    others = (batch - 1.0) / stays.running(now - at[1:])
    return within(iterations * others) / within(iterations)
