"""Learns how fast the replicas of a pool are, from requests that ended.

Continuous batching works in iterations: each gives one token to every request in the batch and may
prefill a part of one prompt beside it. Therefore the time between a request's first and last token
is, exactly, in the model of Agrawal et al. (Sarathi-Serve, OSDI 2024) and of Splitwise (ISCA 2024)

    decode time = α·iterations + β·tokens + γ·prefills + δ·prompt tokens

where all four are those of the whole replica within that time.
The same holds between the arrival and the first token of a request that did not queue. All of them
are known once the replica's other requests have ended too, so that four figures follow by least
squares over requests, without a gauge that would be sampled too seldom.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.capacity.company import Ended, Stays, company
from poolwright.capacity.kept import ARRIVED, END, FIRST, INPUT, OUTPUT, REPLICA, KeptRequests
from poolwright.model.sample import Bools, Floats, Ids, Index

ROWS: Final = 512
MOST_ROWS: Final = 4096
"""Ended requests that are kept for the regression, of the probe replicas only."""
SPANS: Final = 3.0
"""Decode times that the rows cover at least, so that a request's company is among them."""
WATCHED: Final = 1.5
"""Decode times that must have been watched: before, only short requests can have ended."""
ANEW: Final = 6.0
"""Decode times for which all is learned anew at each refit, for want of anything to forget."""
TARGETS: Final = 96
"""Requests of a kind that enter a refit later on."""
FORGET: Final = 0.97
"""Weight of what was learned at one refit, at the next: half is forgotten in 23 refits."""
MAX_WEIGHT: Final = 4000.0
HUBER: Final = 2.5
EDGE: Final = 0.05
"""Share of its time at which the prefill that a request's end cuts off halves its weight."""
TIE: Final = 0.002
"""How firmly two figures keep the prior's ratio, in the requests that show them together.

Where the load comes and goes, the share of the time that a figure takes differs between requests by
more than 0.1, in a batch that is always full by less than 0.02: the tie lies between the squares.
"""
HOLD: Final = 0.01
"""How firmly a figure stays at the prior itself, in requests that show nothing but it."""
DIGITS: Final = 6
TRUSTED_REQUESTS: Final = 30.0
NOISE: Final = 0.05
"""Relative error of what the model says of half a minute: never less, however exact the past was.

Requests of the same half minute share their batches, so that they err together.
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the requests of one refit show of a pool's speed, one row a request."""

    replica: Ids
    per_second: Floats
    """Iterations, tokens, prefills and prompt tokens a second of it: times the figures, about 1."""
    weight: Floats
    watched: Container[int]
    """The replicas that are watched now."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds. `itl = itl_base + itl_per_request·batch`, `prefill = base + per_token·tokens`."""

    itl_base_s: float
    itl_per_request_s: float
    prefill_base_s: float
    prefill_per_token_s: float

    def work_s(self, input_tokens: Floats | float, output_tokens: float) -> Floats | float:
        """Seconds of a replica that a request costs at the margin, shared batches paid by all."""
        return (
            self.prefill_base_s
            + self.prefill_per_token_s * input_tokens
            + self.itl_per_request_s * output_tokens
        )


PRIOR: Final = Speed(0.015, 0.0005, 0.01, 0.0001)
"""A 70B model on an eight-GPU node, rounded from public tables; believed for the first minute."""


class SpeedEstimator:
    """Recursive, robust least squares for one pool. Times in epoch seconds."""

    __slots__ = (
        "_a",
        "_b",
        "_dropped",
        "_kept",
        "_probes",
        "_span_s",
        "_used",
        "error",
        "prior",
        "requests",
        "speed",
    )

    def __init__(self, prior: Speed = PRIOR) -> None:
        self.prior = prior
        self.speed = prior
        self.requests = 0.0
        """Requests behind `speed`, after forgetting."""
        self.error = 0.5
        """Relative error of a predicted decode time (robust standard deviation)."""
        self._kept = KeptRequests()
        self._span_s = 0.0
        self._dropped = False
        self._probes: dict[int, float] = {}
        self._used = -np.inf
        self._a = np.zeros((4, 4))
        self._b = np.zeros(4)

    @property
    def learned(self) -> bool:
        return self.requests >= TRUSTED_REQUESTS

    def observe(
        self,
        at: Floats,
        replica: Ids,
        inputs: Floats,
        outputs: Floats,
        ttft_s: Floats,
        decode_s: Floats,
        *,
        odd: Container[int] = (),
    ) -> None:
        """Takes ended requests: ends, replicas, tokens, seconds to and from the first token.

        A replica below zero is any of so many, among which the load is spread evenly.
        `odd` replicas are not watched: they are not as the pool is.
        """
        if not len(at):
            return
        self._choose_probes(at, replica, odd)
        mine = np.zeros(len(at), dtype=np.bool_)
        for number in self._probes:
            mine |= replica == number
        if np.count_nonzero(mine) == len(mine):
            self._kept.add(replica, at, ttft_s, decode_s, (inputs, outputs))
        else:
            tokens = inputs[mine], outputs[mine]
            self._kept.add(replica[mine], at[mine], ttft_s[mine], decode_s[mine], tokens)
        if len(self._kept) > ROWS:
            recent = self._kept.since(float(at.max()) - self._span_s)
            keep = min(max(ROWS, recent), MOST_ROWS)
            self._dropped |= len(self._kept) > keep
            self._kept.keep(keep)

    def replicas(self) -> set[int]:
        """The numbers of those that it learns from."""
        return self._kept.replicas() | set(self._probes)

    def _choose_probes(self, at: Floats, replica: Ids, odd: Container[int]) -> None:
        now = float(at.max())
        for number in sorted(set(replica.tolist())):
            free = len(self._probes) < 2 and number not in odd
            if number < 0 or number in self._probes or free:
                self._probes[number] = now
        self._probes = {
            number: seen
            for number, seen in self._probes.items()
            if now - seen < 120.0 and number not in odd
        }

    def refit(self, now: float) -> Shown | None:
        """Learns from requests whose company on the replica has ended as well.

        Returns what is new of them; None where nothing is, or all is learned anew.
        """
        if len(self._kept) < 8:
            return None
        rows = self._kept.rows()
        decode_s = rows[:, END] - rows[:, FIRST]
        heard = _heard(rows, now)
        newest = float(heard.max())
        watched_s = np.inf if self._dropped else newest - float(rows[:, FIRST].min())
        stays = Stays.of(decode_s, watched_s)
        longest_s = stays.quantile(0.9)
        self._span_s = SPANS * longest_s
        if watched_s < WATCHED * longest_s:
            return None
        # A replica that has fallen silent holds up nobody.
        settled = float(heard[heard >= newest - longest_s].min()) - longest_s - 1.0
        # Of the first, more is known with each refit: who began beside them ends only now.
        anew = watched_s < ANEW * longest_s
        used = -np.inf if anew else self._used
        # Company of the oldest rows may have been forgotten already.
        known_from = float(np.quantile(rows[:, FIRST], 0.05)) if self._dropped else -np.inf
        new = (rows[:, END] <= settled) & (rows[:, END] > used)
        new &= (rows[:, FIRST] >= known_from) & (rows[:, END] < heard - longest_s)
        if not new.any():
            return None
        self._used = float(rows[new, END].max())
        decoded = np.flatnonzero(new & (rows[:, OUTPUT] >= 2) & (decode_s > 0))
        decoded = _some(decoded, ROWS if anew else TARGETS)
        # Beside others, where within an iteration it arrived would be most of what is seen.
        waited = _unqueued(rows, np.flatnonzero(new))
        waited = waited[~_accompanied(rows, waited)]
        features = np.concatenate(
            (_company(rows, heard, stays)[decoded], _alone(rows[waited, INPUT]))
        )
        took = np.concatenate((decode_s[decoded], rows[waited, FIRST] - rows[waited, ARRIVED]))
        if not len(took):
            return None
        # Relative errors: a long answer must not outweigh a hundred short ones.
        x = features / took[:, None]
        weight = self._weights(x, took, len(decoded), float(np.mean(rows[new, INPUT])))
        kept = 0.0 if anew else FORGET
        self._a = self._a * kept + (x * weight[:, None]).T @ x
        self._b = self._b * kept + weight @ x
        self.requests = min(MAX_WEIGHT, self.requests * kept + len(took))
        self.speed = _solve(self._a, self._b, self.prior)
        after = np.abs(1.0 - x @ vector(self.speed))
        self.error = 0.7 * self.error + 0.3 * float(np.median(after)) * 1.48
        if anew:
            return None
        which = np.concatenate((decoded, waited))
        return Shown(rows[which, REPLICA].astype(np.int32), x, weight, frozenset(self._probes))

    def doubt(self, per_second: Floats) -> Floats:
        """Relative standard error of the times that are predicted for rows of `Shown.per_second`.

        Large where nothing like them was seen, however well the rest is known.
        """
        theta0 = vector(self.prior)
        independent = 1.0 / (1.0 - FORGET) / max(self.requests, 1.0)
        seen = self._a * np.outer(theta0, theta0) * independent + 1e-9 * np.eye(4)
        shares = per_second * theta0
        leverage: Floats = (shares @ np.linalg.inv(seen) * shares).sum(axis=-1)
        return NOISE * np.sqrt(np.maximum(leverage, 0.0))

    def _weights(self, x: Floats, took: Floats, decoded: int, prompt: float) -> Floats:
        """Odd requests count less, and so do short ones (the first `decoded` decoded)."""
        speed = self.speed
        edge_s = speed.prefill_base_s + speed.prefill_per_token_s * prompt
        weight = np.ones(len(took))
        # Of a prefill under way at its end, nobody knows how much was done.
        weight[:decoded] /= 1.0 + (edge_s / (EDGE * took[:decoded])) ** 2
        if self.requests < TRUSTED_REQUESTS:
            return weight
        residual = np.abs(1.0 - x @ vector(speed))
        scale = max(float(np.median(residual)) * 1.48, 0.02)
        return weight * np.minimum(1.0, HUBER * scale / np.maximum(residual, 1e-9))


def vector(speed: Speed) -> Floats:
    """The four figures, in the order of a request's features."""
    return np.array(
        (speed.itl_base_s, speed.itl_per_request_s, speed.prefill_base_s,
         speed.prefill_per_token_s)
    )  # fmt: skip


def _some(which: Index, most: int = TARGETS) -> Index:
    """At most so many of them, evenly: one refit costs the same at any rate."""
    if len(which) <= most:
        return which
    return which[np.linspace(0, len(which) - 1, most).astype(np.intp)]


def _unqueued(rows: Floats, which: Index) -> Index:
    """Requests that hardly queued: the quickest to their first token, for their prompt's length."""
    ttft_s = rows[which, FIRST] - rows[which, ARRIVED]
    pace = ttft_s / (200.0 + rows[which, INPUT])
    if len(which) < 5:
        return which[:0]
    return _some(which[(pace <= np.quantile(pace, 0.3)) & (ttft_s > 0)])


def _accompanied(rows: Floats, which: Index) -> Bools:
    """Whether another request decoded on the replica between arrival and first token."""
    same = rows[which, REPLICA][:, None] == rows[:, REPLICA][None, :]
    other = same & (rows[:, FIRST] < rows[which, FIRST][:, None])
    found: Bools = (other & (rows[:, END] > rows[which, ARRIVED][:, None])).any(axis=1)
    return found


def _heard(rows: Floats, now: float) -> Floats:
    """For each request, when its replica was last heard of: nothing is known of what came after."""
    _, which = np.unique(rows[:, REPLICA], return_inverse=True)
    last = np.full(int(which.max()) + 1, -np.inf)
    np.maximum.at(last, which, rows[:, END])
    heard: Floats = np.minimum(last, now)[which]
    return heard


def _company(rows: Floats, heard: Floats, stays: Stays) -> Floats:
    """Iterations, tokens, prefills and prompt tokens while each request decoded."""
    found = np.zeros((len(rows), 4))
    for replica in np.unique(rows[:, REPLICA]):
        mine = rows[:, REPLICA] == replica
        some = rows[mine]
        ended = Ended(some[:, FIRST], some[:, END], some[:, OUTPUT] - 1.0, some[:, INPUT])
        alike = max(1.0, -float(replica))
        found[mine] = company(ended, stays, float(heard[mine][0]), alike)
    return found


def _alone(inputs: Floats) -> Floats:
    """The same of a prefill beside which nothing decoded."""
    found = np.zeros((len(inputs), 4))
    found[:, 2], found[:, 3] = 1.0, inputs
    return found


def with_ties(shares: Floats) -> Floats:
    """Moments in multiples of the prior, `shape (…, 4, 4)`, with what keeps its ratios and level.

    Two figures in the same requests may be confounded: the more of that, the firmer their tie.
    """
    diagonal = np.eye(4)
    ties = TIE * shares * (1.0 - diagonal)
    tied: Floats = shares - ties + diagonal * (ties.sum(axis=-1, keepdims=True) + HOLD)
    return tied


def _solve(a: Floats, b: Floats, prior: Speed) -> Speed:
    """Least squares with no figure below zero.

    Where the data are silent, figures that are seen together keep the ratio that they have in the
    prior, and those that are not seen at all stay there.
    """
    theta0 = vector(prior)
    # In multiples of the prior, what a request shows of a figure is its share of the time.
    shares = a * np.outer(theta0, theta0)
    tied, seen = with_ties(shares), b * theta0 + HOLD
    free = np.ones(4, dtype=bool)
    multiple = np.zeros(4)
    while True:  # at most four times: one figure alone is never negative
        index = np.flatnonzero(free)
        multiple[:] = 0.0
        multiple[index] = np.linalg.solve(tied[np.ix_(index, index)], seen[index])
        if (multiple >= 0.0).all():
            break
        free &= multiple > 0.0
    figures = theta0 * np.maximum(multiple, 1e-3)
    # Linear algebra differs in its last digits between machines; decisions must not.
    return Speed(*(float(f"{figure:.{DIGITS}g}") for figure in figures))
