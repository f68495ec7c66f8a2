"""How many replicas a stream of arrivals needs, second by second, so that the SLO is met.

The need at a second is the largest of three rates, each a deterministic envelope of the arrivals up
to it (network calculus: a server of rate r delays nobody by more than w if, for every span k, the
work that came within k is at most r·(k + w); Le Boudec & Thiran 2001):

- first tokens: prefill work of every span, with the wait that the SLO allows, beside the decoding;
- time between tokens: all work over the time that a request decodes, at the utilisation allowed;
- places in the batch: requests that decode at once.

A series of such needs, unlike one of counts or tokens, can be compared with a number of replicas.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.capacity.carrying import Carrying
from poolwright.capacity.speed import Speed
from poolwright.model.sample import Floats

SPANS_S: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LONGEST_DECODE_S: Final = 900
DECIMALS: Final = 6
"""More would be the machine's and not the demand's."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Arrivals by second, oldest first: requests, prompt tokens, and output tokens expected."""

    requests: Floats
    input_tokens: Floats
    output_tokens: Floats


def needs(stream: Stream, speed: Speed, load: Carrying, last: int) -> Floats:
    """Replicas needed at each of the `last` seconds of the stream."""
    total = len(stream.requests)
    prefill = np.concatenate(
        ([0.0], np.cumsum(speed.prefill_base_s * stream.requests
                          + speed.prefill_per_token_s * stream.input_tokens))
    )  # fmt: skip
    decode = np.concatenate(([0.0], np.cumsum(speed.itl_per_request_s * stream.output_tokens)))
    requests = np.concatenate(([0.0], np.cumsum(stream.requests)))
    end = np.arange(total - last + 1, total + 1)

    def within(sums: Floats, span: int) -> Floats:
        found: Floats = sums[end] - sums[np.maximum(end - span, 0)]
        return found

    stay = int(min(max(round(load.decode_s), 1), LONGEST_DECODE_S, total))
    decoding = within(decode, stay) / stay
    first = np.zeros(last)
    for span in SPANS_S:
        np.maximum(first, within(prefill, span) / (span + load.wait_s), out=first)
    need = (first + decoding) / load.efficiency
    np.maximum(need, (within(prefill, stay) / stay + decoding) / load.utilisation, out=need)
    at_once = within(requests, stay) / (stay + min(load.wait_s, stay)) * load.decode_s
    np.maximum(need, at_once / load.batch, out=need)
    return np.round(need, DECIMALS)
