"""What a service is asked for: arrivals by second and class, and how long the answers are.

From arrivals, never from completions: what never ends would look like no demand. Seconds in which
the service sent no telemetry of any kind are unknown, not quiet.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from poolwright.capacity import narrow
from poolwright.capacity.need import Stream
from poolwright.forecasting.season import BIN_S, Season
from poolwright.model.sample import Bools, Floats, Ids, Index
from poolwright.signals.statistics import total

HISTORY_S: Final = 3600
AHEAD_S: Final = 300
"""As far as a sample's clock may run ahead of ours: it counts when its second comes."""
RING_S: Final = HISTORY_S + AHEAD_S
GAP_S: Final = 30
"""Telemetry is sampled every few seconds: a longer silence is an outage."""
MOST_CLASSES: Final = 16
"""Of more than so many, those that nobody asked for within the hour are forgotten."""
OUTPUT_MEMORY: Final = 4000.0
"""Requests after which the mean length of answers has forgotten what came before."""
PRIOR_OUTPUT_TOKENS: Final = 200.0
PRIOR_INPUT_TOKENS: Final = 500.0


class ClassDemand:
    """One request class: rings of one value a second, the newest second at `Demand.newest`."""

    __slots__ = ("input_tokens", "mean_input_tokens", "output_known",
                 "output_tokens", "requests")  # fmt: skip

    def __init__(self) -> None:
        self.requests = narrow.zeros(RING_S)
        self.input_tokens = narrow.zeros(RING_S)
        self.output_tokens = PRIOR_OUTPUT_TOKENS
        """Mean of the answers that ended."""
        self.output_known = 0.0
        """Answers behind it, after forgetting."""
        self.mean_input_tokens = PRIOR_INPUT_TOKENS
        """For arrivals that do not say."""

    def answered(self, inputs: Floats, outputs: Floats) -> None:
        """Takes the token counts of requests that ended."""
        outputs = _told(outputs)
        if len(outputs):
            self.output_known = min(self.output_known + len(outputs), OUTPUT_MEMORY)
            gain = min(1.0, len(outputs) / self.output_known)
            self.output_tokens += gain * (total(outputs) / len(outputs) - self.output_tokens)
        inputs = _told(inputs)
        if len(inputs):
            gain = min(1.0, len(inputs) / max(self.output_known, 1.0))
            self.mean_input_tokens += gain * (total(inputs) / len(inputs) - self.mean_input_tokens)


class Demand:
    """All classes of a service, by class number."""

    __slots__ = ("asked_since", "classes", "heard", "newest", "season", "since")

    def __init__(self) -> None:
        self.classes: dict[int, ClassDemand] = {}
        self.newest: int | None = None
        self.since: int | None = None
        """The first second with telemetry."""
        self.asked_since: int | None = None
        """The second of the first arrival."""
        self.season = Season()
        """Requests a second of all classes."""
        self.heard: list[tuple[int, int]] = []
        """Spells of seconds within `GAP_S` after telemetry of any kind: first and last, rising."""

    def advance(self, at: float) -> None:
        """Moves the rings on to the second of `at`."""
        second = int(at)
        if self.newest is None:
            self.newest = self.since = second
            return
        gone = min(second - self.newest, RING_S)
        if gone <= 0:
            return
        if second // BIN_S > self.newest // BIN_S:
            self._end_bin(self.newest // BIN_S)
        furthest = second + AHEAD_S
        where = np.arange(furthest - gone + 1, furthest + 1) % RING_S
        self.heard = [spell for spell in self.heard if spell[1] > second - HISTORY_S]
        for known in self.classes.values():
            known.requests[where] = 0
            known.input_tokens[where] = 0
        self.newest = second

    def _end_bin(self, number: int) -> None:
        """The ten minutes that end now, where telemetry covers most of them."""
        for known in self.classes.values():
            known.requests = narrow.narrowed(known.requests)
            known.input_tokens = narrow.narrowed(known.input_tokens)
        last = min((self.newest or 0) - number * BIN_S + 1, self.seconds)
        if self.known(last).sum() * 2 > BIN_S:
            order = self.order(last)
            requests = sum(float(known.requests[order].sum()) for known in self.classes.values())
            self.season.put(number, requests / last)
        if len(self.classes) > MOST_CLASSES:
            self.classes = {n: known for n, known in self.classes.items() if known.requests.any()}

    def hear(self, at: Floats) -> None:
        """Telemetry of any kind covers the seconds after it."""
        if self.newest is None or not len(at):
            return
        for second in sorted(set(at.astype(np.int64).tolist())):
            first = max(second, self.newest - HISTORY_S + 1)
            last = min(second + GAP_S, self.newest + AHEAD_S)
            if first <= last:
                self._cover(first, last)

    def _cover(self, first: int, last: int) -> None:
        """Joins these seconds with the spells that they touch."""
        apart = []
        for spell in self.heard:
            if spell[1] < first - 1 or spell[0] > last + 1:
                apart.append(spell)
            else:
                first, last = min(first, spell[0]), max(last, spell[1])
        self.heard = sorted([*apart, (first, last)])

    def arrived(self, at: Floats, request_class: Ids, input_tokens: Floats) -> None:
        """Counts arrivals in their seconds; what lies before the rings is left out."""
        newest = self.newest or 0
        second = at.astype(np.int64)
        inside = (second <= newest + AHEAD_S) & (second > newest - HISTORY_S)
        if self.asked_since is None and inside.any():
            self.asked_since = int(second[inside].min())
        for number in sorted(set(request_class[inside].tolist())):
            mine = inside & (request_class == number)
            known = self.of(number)
            tokens, seconds = input_tokens[mine], second[mine]
            tokens = np.where(np.isnan(tokens), known.mean_input_tokens, tokens)
            first = int(seconds.min())
            offset = seconds - first
            known.requests = narrow.add(known.requests, first, offset)
            known.input_tokens = narrow.add(known.input_tokens, first, offset, tokens)

    def of(self, request_class: int) -> ClassDemand:
        """The class's demand, made when it is first seen."""
        found = self.classes.get(request_class)
        if found is None:
            found = self.classes[request_class] = ClassDemand()
        return found

    @property
    def seconds(self) -> int:
        """Seconds of history, the newest included."""
        if self.newest is None or self.since is None:
            return 0
        return min(self.newest - self.since + 1, HISTORY_S)

    @property
    def asked_s(self) -> int:
        """Seconds of history since the first arrival; all of it while none came."""
        since = self.since if self.asked_since is None else self.asked_since
        return min(self.seconds, (self.newest or 0) - (since or 0) + 1)

    def order(self, last: int) -> Index:
        """Indices of the last seconds, oldest first."""
        newest = self.newest or 0
        found: Index = np.arange(newest - last + 1, newest + 1) % RING_S
        return found

    def known(self, last: int) -> Bools:
        """Which of the last seconds telemetry covers."""
        found: Bools = np.zeros(last, dtype=np.bool_)
        oldest = (self.newest or 0) - last + 1
        for since, until in self.heard:
            found[max(since - oldest, 0) : max(until - oldest + 1, 0)] = True
        return found

    def stream(self, shares: Mapping[int, float], last: int) -> Stream:
        """The arrivals of the last seconds, of each class the share that is given."""
        order = self.order(last)
        requests, inputs, outputs = (np.zeros(last) for _ in range(3))
        for number, share in shares.items():
            known = self.classes[number]
            mine = known.requests[order].astype(np.float32) * share
            requests += mine
            inputs += known.input_tokens[order].astype(np.float32) * share
            outputs += mine * known.output_tokens
        return Stream(requests, inputs, outputs)


def _told(tokens: Floats) -> Floats:
    untold = np.isnan(tokens)
    return tokens[~untold] if np.count_nonzero(untold) else tokens
