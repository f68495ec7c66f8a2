"""How many replicas a stream of arrivals needs, second by second, so that the SLO is met.

The need at a second is the largest of three rates, each a deterministic envelope of the arrivals up
to it (network calculus: a server of rate r delays nobody by more than w if, for every span k, the
work that came within k is at most r·(k + w); Le Boudec & Thiran 2001):

- first tokens: prefill work of every span, with the wait that the SLO allows, beside the decoding;
- time between tokens: all work over the time that a request decodes, at the utilisation allowed;
- places in the batch: requests that decode at once.

A series of such needs, unlike one of counts or tokens, can be compared with a number of replicas.
What the arrivals of a second *felt* is such a need, too: the first rate and the third at their
instant, the second on average over the time that they decode. The share of requests whose felt need
is above a count is, nearly, the share that misses the SLO with it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.capacity.carrying import Carrying
from poolwright.capacity.speed import Speed
from poolwright.model.sample import Floats

SPANS_S: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LONGEST_DECODE_S: Final = 900
STAYS: Final = (1, 2, 4)
"""Spans for places, in times that a request decodes: who found none waits on."""
DECIMALS: Final = 6
"""More would be the machine's and not the demand's."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Arrivals by second, oldest first: requests, prompt tokens, and output tokens expected."""

    requests: Floats
    input_tokens: Floats
    output_tokens: Floats


@dataclass(frozen=True, slots=True)
class Needs:
    """Replicas by second, oldest first."""

    at_once: Floats
    """So that whoever is there at that second is served well."""
    felt: Floats
    """So that the arrivals of that second meet the SLO; of the newest, that decode still, only
    what is known yet."""


def needs(stream: Stream, speed: Speed, load: Carrying, last: int) -> Needs:
    """Replicas needed at each of the `last` seconds of the stream."""
    first, decoding = _rates(stream, speed, load, last)
    sums, span = _sums(decoding), _stay(load) + 1
    mean = np.empty(last)
    # Those whose time has passed, and then the newest.
    passed = max(last - span, 0)
    mean[:passed] = (sums[span : span + passed] - sums[:passed]) / span
    mean[passed:] = (sums[last] - sums[passed:last]) / np.arange(last - passed, 0, -1)
    return Needs(
        np.maximum(first, decoding).round(DECIMALS), np.maximum(first, mean).round(DECIMALS)
    )


def _sums(values: Floats) -> Floats:
    """Of the first 0, 1, … values."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _stay(load: Carrying) -> int:
    return int(min(max(round(load.decode_s), 1), LONGEST_DECODE_S))


def _rates(stream: Stream, speed: Speed, load: Carrying, last: int) -> tuple[Floats, Floats]:
    """By second, what first tokens (and places in the batch) need, and what decoding needs."""
    total = len(stream.requests)
    prefill = _sums(
        speed.prefill_base_s * stream.requests + speed.prefill_per_token_s * stream.input_tokens
    )
    decode = _sums(speed.itl_per_request_s * stream.output_tokens)
    requests = _sums(stream.requests)
    begin = total - last + 1

    def within(sums: Floats, span: int) -> Floats:
        found = np.empty(last)
        # Before the stream nothing is known to have come.
        known = min(max(span - begin, 0), last)
        found[:known] = sums[begin : begin + known]
        np.subtract(
            sums[begin + known :], sums[begin + known - span : total + 1 - span], out=found[known:]
        )
        return found

    stay = min(_stay(load), total)
    decoding = within(decode, stay) / stay
    first = np.zeros(last)
    for span in SPANS_S:
        np.maximum(first, within(prefill, span) / (span + load.wait_s), out=first)
    first = (first + decoding) / load.efficiency
    for times in STAYS:
        span = stay * times
        at_once = within(requests, span) / (span + min(load.wait_s, stay)) * load.decode_s
        np.maximum(first, at_once / load.batch, out=first)
    return first, (within(prefill, stay) / stay + decoding) / load.utilisation
