"""Rings of numbers in as few bytes as these need, and nothing lost.

Most services are asked a few times a second, some thousands of times: a byte holds what the former
need, a float what the latter do. A ring becomes wider when a number does not fit, and narrow again
(`narrowed`) when no number needs the width any more.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poolwright.model.sample import Floats, Index

FEW: Final = 8
"""So many numbers are added sooner one by one."""

Ring = NDArray[Any]
"""Of one of `KINDS`."""

WIDEST: Final = np.dtype(np.float32)
"""Whole numbers are exact in it up to 2^24."""
MOST: Final[dict[np.dtype[Any], float]] = {
    np.dtype(np.uint8): 255.0,
    np.dtype(np.uint16): 65_535.0,
    WIDEST: np.inf,
}
"""From narrow to wide, the kinds and the largest number of each."""


def zeros(length: int) -> Ring:
    """A ring of them, as narrow as can be."""
    return np.zeros(length, dtype=np.uint8)


def add(ring: Ring, first: int, offset: Index, amounts: Floats | None = None) -> Ring:
    """Adds to the places `first + offset` the amounts (None: one to each), one after the other.

    The ring that it is given is changed where there is room; the one returned holds the sums.
    """
    if len(offset) <= FEW and ring.dtype != WIDEST and _add_few(ring, first, offset, amounts):
        return ring
    if ring.dtype == WIDEST:
        np.add.at(ring, (first + offset) % len(ring), 1.0 if amounts is None else amounts)
        return ring
    more = np.bincount(offset, amounts)
    where = np.arange(first, first + len(more)) % len(ring)
    sums = ring[where] + more
    fits = _narrowest(sums, ring.dtype)
    if fits.dtype == WIDEST:
        return add(ring.astype(WIDEST), first, offset, amounts)
    ring = ring.astype(fits.dtype, copy=False)
    ring[where] = fits
    return ring


def _add_few(ring: Ring, first: int, offset: Index, amounts: Floats | None) -> bool:
    """The same without arrays, where the sums fit; else nothing is done."""
    more: dict[int, float] = {}
    counts = [1.0] * len(offset) if amounts is None else amounts.tolist()
    for place, amount in zip(offset.tolist(), counts, strict=True):
        more[place] = more.get(place, 0.0) + amount
    where = [(first + place) % len(ring) for place in more]
    sums = [int(ring[place]) + amount for place, amount in zip(where, more.values(), strict=True)]
    most = MOST[ring.dtype]
    if not all(0.0 <= number <= most and number.is_integer() for number in sums):
        return False
    for place, number in zip(where, sums, strict=True):
        ring[place] = number
    return True


def put(ring: Ring, where: Index, number: int) -> Ring:
    """Sets these places, in the ring that it is given where there is room."""
    if number > MOST[ring.dtype]:
        ring = ring.astype(_narrowest(np.array([number]), ring.dtype).dtype)
    ring[where] = number
    return ring


def narrowed(ring: Ring) -> Ring:
    """The same numbers in as few bytes as they need."""
    return _narrowest(ring, np.dtype(np.uint8))


def _narrowest(numbers: NDArray[Any], least: np.dtype[Any]) -> Ring:
    """In the first kind from `least` on that changes none of them, or the widest."""
    highest = numbers.max(initial=0)
    for kind, most in MOST.items():
        if kind.itemsize >= least.itemsize and highest <= most:
            found: Ring = numbers.astype(kind)
            if bool((found == numbers).all()):
                return found
    return numbers.astype(WIDEST)
