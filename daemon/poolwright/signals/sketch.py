"""Quantiles of any number of values in bounded memory: logarithmic buckets, merged by adding.

The buckets are those of OpenTelemetry's exponential histogram at scale 6: bucket i counts the
values in (base^i, base^(i + 1)] with base = 2^(2^-6), about 1.1 % wide. A quantile is answered
with the number in its bucket whose relative error is smallest at the worse end, so that it is off
by at most `RELATIVE_ERROR`, (base - 1) / (base + 1) or 0.55 %; scale 5 would miss the 1 % wanted.

- Deterministic: no random choice, and no logarithm whose last digit depends on the machine. The
  bounds are exact integers and values are placed by the bits of their floats, so that a replay is
  byte-identical. Placing a column costs a few numpy operations.
- Merging is exact, in any order and grouping: counts are added. The sum alone is a float.
- Bounded: `BUCKETS` counts. Values up to 2^-20 (a microsecond) are in the zero bucket, which
  answers 0: an absolute error of at most that. The highest bucket also takes all above 2^28
  (268 million tokens, eight years) and answers the largest value seen.

The p-th percentile of n values is the ⌈p·n/100⌉-th smallest (Hyndman & Fan 1996, type 1): the
smallest value that at least p % of them do not exceed, which is what an SLO asks for.
"""

from dataclasses import dataclass
from math import ceil, isqrt
from struct import Struct
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from poolwright.model.sample import Floats

Ints = NDArray[np.int64]

SCALE: Final = 6
PER_OCTAVE: Final = 2**SCALE
LOWEST, HIGHEST = -20, 28
"""Exponents of two between which values have buckets of their own."""
BUCKETS: Final = (HIGHEST - LOWEST) * PER_OCTAVE + 1
"""The zero bucket at position 0; OpenTelemetry's index is position - 1 + LOWEST * PER_OCTAVE."""
RELATIVE_ERROR: Final = (2.0 ** (1 / PER_OCTAVE) - 1) / (2.0 ** (1 / PER_OCTAVE) + 1)

_FRACTION_BITS = 52
_ONE = 1 << _FRACTION_BITS
_SLICE_BITS = 7
"""2^-7 is less than the width of the narrowest bucket: a slice holds at most one bound."""


def _bound(j: int) -> int:
    """⌊2^(j / PER_OCTAVE) · 2^52⌋: the exact root, floored at each of its square roots."""
    power = 1 << (j + _FRACTION_BITS * PER_OCTAVE)
    for _ in range(SCALE):
        power = isqrt(power)
    return power


_BOUNDS: Ints = np.array([_bound(j) - _ONE for j in range(PER_OCTAVE + 1)], np.int64)
"""Fraction bits of the bounds within an octave."""
_STARTS = np.arange(1 << _SLICE_BITS, dtype=np.int64) << (_FRACTION_BITS - _SLICE_BITS)
_BELOW: Ints = _BOUNDS.searchsorted(_STARTS, "right") - 1
_NEXT: Ints = _BOUNDS[_BELOW + 1]


_DOUBLE, _LONG = Struct("<d"), Struct("<q")
"""To read the bits of a float."""


def _representatives() -> Floats:
    lower = np.append(
        np.ldexp((_BOUNDS[:-1] + _ONE) / _ONE, np.arange(LOWEST, HIGHEST)[:, None]).ravel(),
        2.0**HIGHEST,
    )
    middle = 2 * lower[:-1] * lower[1:] / (lower[:-1] + lower[1:])
    middle[-1] = np.inf  # clipped to the largest value seen
    return np.append(0.0, middle)


_REPRESENTATIVES = _representatives()


def positions(values: Floats) -> Ints:
    """The bucket of each value, 0 … BUCKETS - 1; values are neither negative nor NaN."""
    # A bound belongs to the bucket below it: place the float just below each value. Zero becomes
    # -1, the lowest of all; adding 0.0 makes -0.0 a zero.
    bits = (values + 0.0).view(np.int64) - 1
    fraction = bits & (_ONE - 1)
    leading = fraction >> (_FRACTION_BITS - _SLICE_BITS)
    found = ((bits >> _FRACTION_BITS) - (1023 + LOWEST)) * PER_OCTAVE + 1
    found += _BELOW[leading]
    found += fraction >= _NEXT[leading]
    # As np.clip, which takes longer than all of this where values are few.
    np.maximum(found, 0, out=found)
    np.minimum(found, BUCKETS - 1, out=found)
    return found


def position(value: float) -> int:
    """The same of one value, without arrays."""
    bits: int = _LONG.unpack(_DOUBLE.pack(value + 0.0))[0]
    fraction = (bits - 1) & (_ONE - 1)
    leading = fraction >> (_FRACTION_BITS - _SLICE_BITS)
    found = ((bits - 1 >> _FRACTION_BITS) - (1023 + LOWEST)) * PER_OCTAVE + 1
    found += int(_BELOW[leading]) + int(fraction >= _NEXT[leading])
    return min(max(found, 0), BUCKETS - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Counts by bucket (BUCKETS of them), and the sum and the bounds of the values."""

    counts: Floats
    total: float
    low: float
    """inf while empty"""
    high: float
    """-inf while empty"""

    @classmethod
    def of(cls, values: Floats) -> Self:
        counts = np.bincount(positions(values), minlength=BUCKETS).astype(np.float64)
        with np.errstate(over="ignore"):
            total = float(values.sum())
        return cls(
            counts,
            total,
            float(values.min(initial=np.inf)),
            float(values.max(initial=-np.inf)),
        )

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def merge(self, other: Self) -> Self:
        """The sketch of both sets of values."""
        return type(self)(
            self.counts + other.counts,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    def quantile(self, percent: float) -> float:
        """The percentile, within RELATIVE_ERROR of the exact one; NaN while empty."""
        return quantile(self.counts, percent, self.low, self.high)


def quantile(counts: Floats | Ints, percent: float, low: float, high: float) -> float:
    """The same of counts by bucket (BUCKETS of them) and the bounds of the values."""
    used = np.flatnonzero(counts > 0)
    if not len(used):
        return float("nan")
    up_to = counts[used].cumsum()
    rank = _rank(percent, float(up_to[-1]))
    about = float(_REPRESENTATIVES[used[up_to.searchsorted(rank)]])
    return min(max(about, low), high)


def quantile_of(values: Floats, percent: float) -> float:
    """The same of values that are at hand: the rank is counted among them, not among buckets."""
    rising = np.sort(values)
    rank = _rank(percent, float(len(rising)))
    about = float(_REPRESENTATIVES[position(float(rising[rank - 1]))])
    return min(max(about, float(rising[0])), float(rising[-1]))


def _rank(percent: float, count: float) -> int:
    return max(ceil(percent * count / 100), 1)
