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

from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.model.sample import Bools, Floats, Ids, Index

ROWS: Final = 512
MOST_ROWS: Final = 4096
SPANS: Final = 3.0
"""Decode times that the rows cover at least, so that a request's company is among them."""
"""Ended requests that are kept for the regression, of the probe replicas only."""
TARGETS: Final = 96
FORGET: Final = 0.97
"""Weight of what was learned at one refit, at the next: half is forgotten in 23 refits."""
MAX_WEIGHT: Final = 4000.0
HUBER: Final = 2.5
DIGITS: Final = 6
TRUSTED_REQUESTS: Final = 60.0
REPLICA, ARRIVED, FIRST, END, INPUT, OUTPUT = range(6)


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
        "_probes",
        "_rows",
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
        self._rows: Floats = np.empty((0, 6))
        """Replica, arrived at, first token at, end at, input and output tokens; oldest first."""
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
    ) -> None:
        """Takes ended requests: ends, replicas, tokens, seconds to and from the first token."""
        if not len(at):
            return
        self._choose_probes(at, replica)
        known = np.isfinite(ttft_s + decode_s + inputs + outputs)
        mine = np.isin(replica, list(self._probes)) & known
        first = at - decode_s
        new = np.column_stack((replica, first - ttft_s, first, at, inputs, outputs))[mine]
        rows: Floats = np.concatenate((self._rows, new))
        recent = int((rows[:, END] > float(at.max()) - self._span_s).sum())
        keep = min(max(ROWS, recent), MOST_ROWS)
        self._dropped |= len(rows) > keep
        self._rows = rows[-keep:]

    def _choose_probes(self, at: Floats, replica: Ids) -> None:
        now = float(at.max())
        for number in np.unique(replica).tolist():
            if number in self._probes or len(self._probes) < 2:
                self._probes[number] = now
        self._probes = {r: seen for r, seen in self._probes.items() if now - seen < 120.0}

    def refit(self, now: float) -> None:
        """Learns from requests whose company on the replica has ended as well."""
        rows = self._rows
        if len(rows) < 8:
            return
        decode_s = rows[:, END] - rows[:, FIRST]
        longest_s = float(np.quantile(decode_s, 0.9))
        self._span_s = SPANS * longest_s
        settled = now - longest_s - 1.0
        # Company of the oldest rows may have been forgotten already.
        known_from = float(np.quantile(rows[:, FIRST], 0.05)) if self._dropped else -np.inf
        new = (rows[:, END] <= settled) & (rows[:, END] > self._used)
        new &= rows[:, ARRIVED] >= known_from
        if not new.any():
            return
        self._used = float(rows[new, END].max())
        decoded = _some(np.flatnonzero(new & (rows[:, OUTPUT] >= 2) & (decode_s > 0)))
        # Beside others, where within an iteration it arrived would be most of what is seen.
        waited = _unqueued(rows, np.flatnonzero(new))
        waited = waited[~_accompanied(rows, waited)]
        features = np.concatenate(
            (
                _features(rows, decoded, rows[decoded, FIRST], rows[decoded, END]),
                _features(rows, waited, rows[waited, ARRIVED], rows[waited, FIRST]),
            )
        )
        took = np.concatenate((decode_s[decoded], rows[waited, FIRST] - rows[waited, ARRIVED]))
        if not len(took):
            return
        # Relative errors: a long answer must not outweigh a hundred short ones.
        x = features / took[:, None]
        predicted = x @ _vector(self.speed)
        residual = np.abs(1.0 - predicted)
        scale = max(float(np.median(residual)) * 1.48, 0.02)
        weight = np.minimum(1.0, HUBER * scale / np.maximum(residual, 1e-9))
        if self.requests < TRUSTED_REQUESTS:
            weight = np.ones(len(took))
        self._a = self._a * FORGET + (x * weight[:, None]).T @ x
        self._b = self._b * FORGET + (x * weight[:, None]).T @ np.ones(len(took))
        self.requests = min(MAX_WEIGHT, self.requests * FORGET + len(took))
        self.speed = _solve(self._a, self._b, self.prior)
        after = np.abs(1.0 - x @ _vector(self.speed))
        self.error = 0.7 * self.error + 0.3 * float(np.median(after)) * 1.48


def _vector(speed: Speed) -> Floats:
    return np.array(
        (speed.itl_base_s, speed.itl_per_request_s, speed.prefill_base_s,
         speed.prefill_per_token_s)
    )  # fmt: skip


def _some(which: Index) -> Index:
    """At most TARGETS of them, evenly: one refit costs the same at any rate."""
    if len(which) <= TARGETS:
        return which
    return which[np.linspace(0, len(which) - 1, TARGETS).astype(np.intp)]


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


def _features(rows: Floats, which: Index, since: Floats, until: Floats) -> Floats:
    """Iterations, tokens, prefills and prompt tokens of each target's replica in its time."""
    since, until = since[:, None], until[:, None]
    same = rows[which, REPLICA][:, None] == rows[:, REPLICA][None, :]
    decode_s = np.maximum(rows[:, END] - rows[:, FIRST], 1e-9)
    overlap_s = np.minimum(until, rows[:, END]) - np.maximum(since, rows[:, FIRST])
    share = np.where(same, np.clip(overlap_s, 0.0, None), 0.0) / decode_s
    tokens = share * np.maximum(rows[:, OUTPUT] - 1.0, 0.0)
    prefilled = same & (rows[:, FIRST] > since) & (rows[:, FIRST] <= until)
    # Every request of a batch sees the same iterations: the one that saw most saw all of them.
    return np.column_stack(
        (tokens.max(axis=1), tokens.sum(axis=1), prefilled.sum(axis=1), prefilled @ rows[:, INPUT])
    )


def _solve(a: Floats, b: Floats, prior: Speed) -> Speed:
    """Least squares with no figure below zero, pulled gently to the prior where data are silent."""
    theta0 = _vector(prior)
    # A pseudo-observation per figure, as large as one request that shows nothing but it.
    pull = np.diag(0.5 / theta0**2) * 0.02
    free = np.ones(4, dtype=bool)
    theta = np.zeros(4)
    while True:  # at most four times: one figure alone is never negative
        index = np.flatnonzero(free)
        theta[:] = 0.0
        theta[index] = np.linalg.solve((a + pull)[np.ix_(index, index)], (b + pull @ theta0)[index])
        if (theta >= 0.0).all():
            break
        free &= theta > 0.0
    floor = theta0 * 1e-3
    # Linear algebra differs in its last digits between machines; decisions must not.
    return Speed(*(float(f"{figure:.{DIGITS}g}") for figure in np.maximum(theta, floor)))
