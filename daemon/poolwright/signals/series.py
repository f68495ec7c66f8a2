"""What a series is known by: numbers of names, and for columns of them one integer."""

import numpy as np

from poolwright.model.sample import Ids
from poolwright.signals.sketch import Ints

Owner = tuple[int, int]
"""Service and pool numbers."""
Key = tuple[int, int, int]
"""Service, pool and request class (or replica) numbers."""

NAME_BITS = 21
"""Three numbers of names fit in an integer of 64 bits."""


def codes_of(ids: Ids) -> Ints:
    """The codes of (3, sample) numbers below 2^21; those of an owner are neighbours."""
    service, pool, last = ids.astype(np.int64)
    found: Ints = (((service << NAME_BITS) | pool) << NAME_BITS) | last
    return found


def numbers_of(codes: Ints) -> set[int]:
    """The numbers that codes are made of."""
    last = (1 << NAME_BITS) - 1
    parts = np.stack((codes >> 2 * NAME_BITS, (codes >> NAME_BITS) & last, codes & last))
    return set(np.unique(parts).tolist())


def codes_between(owner: Owner, request_class: int | None) -> tuple[int, int]:
    """Codes first <= code < end of the owner's series, of one class or (None) of all.

    A number below zero stands for a name that was never seen; no series has such a code.
    """
    if min(owner) < 0 or (request_class is not None and request_class < 0):
        return 0, 0
    first = ((owner[0] << NAME_BITS) | owner[1]) << NAME_BITS
    if request_class is None:
        return first, first + (1 << NAME_BITS)
    return first + request_class, first + request_class + 1
