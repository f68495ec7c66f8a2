"""Says when the replicas of a pool became faster or slower than they were.

Figures are not compared: the first fits of a batch that is always full cannot tell an iteration's
cost from a token's, and better figures later on are no change of the machine. A change is said
where no one speed explains both what was seen before and what is seen now, and where the speed of
before, times a factor, does.

What is seen is kept as the moments that least squares need: with u = (iterations, tokens, prefills,
prompt tokens, all a second; 1) of a request and w its weight, the matrix M = Σ w·u·uᵀ. Of these, a
speed θ leaves (θ, -1)ᵀ·M·(θ, -1) unexplained.
"""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from poolwright.capacity.speed import HOLD, NOISE, Shown, Speed, vector, with_ties
from poolwright.model.names import NameTable
from poolwright.model.sample import Floats

RECENT: Final = 0.8
"""Weight of what is seen now, at the next refit: its mean age is two minutes."""
USUAL: Final = 0.99
"""Weight of what was seen before, at the next refit: half of it is forgotten in 35 minutes."""
SETTLED_REFITS: Final = 8.0
SETTLED_REQUESTS: Final = 100.0
"""So much must have been seen before it is what is usual."""
TELLING_REQUESTS: Final = 3.0
"""And so much of a replica, for it to have a say."""
CHANGED: Final = 1.15
"""Times as slow, or as fast: nearer to nothing than to the quarter that must not be missed."""
CERTAIN: Final = 3.0
"""Standard errors by which a factor must explain more than one speed does."""
USUAL_AFTER: Final = 120
"""Refits after which a change is what is usual: an hour."""
HALF: Final = 0.5
MOST_NAMED: Final = 3
FACTORS: Final[Floats] = np.geomspace(0.25, 4.0, 57)
SAME: Final = 28
"""The place of 1 among the factors."""
PARTS: Final[Floats] = np.array(((1, 1, 1, 1), (1, 1, 0, 0), (0, 0, 1, 1)), dtype=np.float64)
"""Which figures change together: all (throttling, another model), of decoding, of prefill."""
SUBJECTS: Final = ("requests take", "decoding takes", "prefill takes")
PATIENCE: Final = 15
"""Refits on end for which it must be certain that no other part explains as much as the one.

Of any change, and of its end, prefills show before answers do. Until then it is said of requests.
"""
SCALES: Final[Floats] = np.where(PARTS[:, None, :] > 0.0, FACTORS[:, None], 1.0)
"""By part and factor."""


@dataclass(frozen=True, slots=True)
class Change:
    """By how much what is seen now differs from what was seen before."""

    part: int
    factor: float
    certainty: float
    """Standard errors."""

    @property
    def clear(self) -> bool:
        return self.certainty > CERTAIN and abs(math.log(self.factor)) > math.log(CHANGED)

    def agrees(self, other: Self) -> bool:
        """Whether the other goes the same way, half as far as a change at least."""
        way = math.copysign(1.0, math.log(self.factor))
        return way * math.log(other.factor) > HALF * math.log(CHANGED)


class Drift:
    """Compares what is seen of a pool now with what was seen over the last hour or so."""

    __slots__ = ("_alone", "_change", "_refits", "_seen", "_usual_refits", "_waits", "_watched",
                 "words")  # fmt: skip

    def __init__(self) -> None:
        self._seen: Floats = np.zeros((1, 5, 5))
        """What is usual, then what is seen now of each replica that is watched.

        What is forgotten of the latter becomes a part of the former.
        """
        self._watched: tuple[int, ...] = ()
        self._usual_refits = 0.0
        self._refits = 0.0
        """Refits behind both, after forgetting."""
        self._waits = 0
        """Refits since when nothing becomes usual, because something has changed."""
        self._alone = 0
        """Refits since when it is a part that has changed."""
        self._change = ""
        self.words = ""
        """What changed, for people; empty while nothing did."""

    def note(
        self, shown: Shown | None, prior: Speed, slow: Mapping[int, float], names: NameTable
    ) -> None:
        """Takes what a refit saw, and which replicas take how many times as long as the others.

        Those are told by their names and have no say about the pool.
        """
        if shown is not None:
            self._take(shown, slow)
            self._judge(vector(prior))
        self.words = "; ".join(filter(None, (self._change, *_named(slow, names))))

    def _take(self, shown: Shown, slow: Container[int]) -> None:
        usual = self._seen[0]
        recent = {
            number: moments
            for number, moments in zip(self._watched, self._seen[1:], strict=True)
            if number not in slow
        }
        if not self._waits:
            gone = sum(recent.values(), np.zeros((5, 5)))
            usual = USUAL * usual + (1.0 - RECENT) * gone
            self._usual_refits = USUAL * self._usual_refits + (1.0 - RECENT) * self._refits
        recent = {
            number: RECENT * moments
            for number, moments in recent.items()
            if number in shown.watched
        }
        self._refits = RECENT * self._refits + 1.0
        rows = np.column_stack((shown.per_second, np.ones(len(shown.weight))))
        for number in np.unique(shown.replica).tolist():
            if number not in slow:
                mine = shown.replica == number
                moments = (rows[mine] * shown.weight[mine, None]).T @ rows[mine]
                recent[number] = recent.get(number, 0.0) + moments
        self._seen, self._watched = np.stack((usual, *recent.values())), tuple(recent)

    def _judge(self, prior: Floats) -> None:
        self._change = ""
        usual, recent = self._seen[0], self._seen[1:]
        telling = recent[recent[:, 4, 4] >= TELLING_REQUESTS]
        settled = self._usual_refits >= SETTLED_REFITS and usual[4, 4] >= SETTLED_REQUESTS
        if not len(telling) or not settled:
            return
        each = [_compare(usual, moments, self._refits, prior) for moments in telling]
        if not any(change.clear for change in each):
            self._waits, self._alone = 0, 0
            return
        self._waits += 1
        if self._waits > USUAL_AFTER:
            usual[:], self._usual_refits, self._waits = 0.0, 0.0, 0
            return
        together = recent.sum(axis=0)
        found = _compare(usual, together, self._refits, prior)
        self._alone = self._alone + 1 if found.part else 0
        if found.part and self._alone < PATIENCE:
            found = _compare(usual, together, self._refits, prior, whole=True)
        # One that is slow alone is no change of the pool.
        if found.clear and all(map(found.agrees, each)):
            self._change = f"{SUBJECTS[found.part]} {found.factor:.2f} times as long as before"


def _compare(
    usual: Floats, recent: Floats, refits: float, prior: Floats, *, whole: bool = False
) -> Change:
    """The factor that explains most; of all figures if `whole`, or if it may be any part.

    `refits` of the recent are as many independent facts.
    """
    both = usual[:4, :4] + SCALES[..., :, None] * recent[:4, :4] * SCALES[..., None, :]
    shares = both * np.outer(prior, prior)
    seen = (usual[:4, 4] + SCALES * recent[:4, 4]) * prior
    multiples = np.linalg.solve(with_ties(shares), (seen + HOLD)[..., None])[..., 0]
    explained = 2.0 * (seen * multiples).sum(axis=-1) - np.einsum(
        "...i,...ij,...j", multiples, shares, multiples
    )
    requests = usual[4, 4] + recent[4, 4]
    left = requests - explained
    # What a standard error leaves, where requests of one refit are one fact.
    error = max(float(left.min()) / requests, NOISE**2) * recent[4, 4] / refits
    least = left.min(axis=1)
    part = int(np.argmin(least))
    sure = float(np.delete(least, part).min() - least[part]) > CERTAIN**2 * error
    if whole or not sure:
        part = 0
    factor = int(np.argmin(left[part]))
    gained = max(float(left[0, SAME] - left[part, factor]), 0.0)
    return Change(part, float(FACTORS[factor]), math.sqrt(gained / error))


def _named(slow: Mapping[int, float], names: NameTable) -> Iterator[str]:
    """The slowest replicas by name, and how many others are slow."""
    slowest = sorted(slow.items(), key=lambda item: (-item[1], item[0]))
    for number, factor in slowest[:MOST_NAMED]:
        yield f"replica {names.name(number)} takes {factor:.1f} times as long as the others"
    if len(slowest) > MOST_NAMED:
        yield f"so do {len(slowest) - MOST_NAMED} more"
