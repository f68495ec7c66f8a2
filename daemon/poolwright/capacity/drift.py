"""Says when a pool's replicas became faster or slower than they were."""

from typing import Final

from poolwright.capacity.speed import SpeedEstimator

SLOW: Final = 0.02
"""Share by which the usual times follow at each refit: hours, at one refit every 30 s."""
CHANGED: Final = 0.25
TYPICAL_BATCH: Final = 16.0
TYPICAL_PROMPT: Final = 1000.0


class Drift:
    """Compares what is learned now with what was learned over hours: a new model, throttling."""

    __slots__ = ("_itl_s", "_prefill_s", "words")

    def __init__(self) -> None:
        self._itl_s: float | None = None
        self._prefill_s: float | None = None
        self.words = ""
        """What changed, for people; empty while nothing did."""

    def note(self, estimator: SpeedEstimator) -> None:
        """Takes the figures after a refit."""
        if not estimator.learned:
            return
        speed = estimator.speed
        itl_s = speed.itl_base_s + TYPICAL_BATCH * speed.itl_per_request_s
        prefill_s = speed.prefill_base_s + TYPICAL_PROMPT * speed.prefill_per_token_s
        if self._itl_s is None or self._prefill_s is None:
            self._itl_s, self._prefill_s = itl_s, prefill_s
        changes = []
        for what, seconds, usual_s in (
            ("time between tokens", itl_s, self._itl_s),
            ("prefill", prefill_s, self._prefill_s),
        ):
            ratio = seconds / max(usual_s, 1e-9)
            if ratio > 1.0 + CHANGED or ratio < 1.0 / (1.0 + CHANGED):
                changes.append(f"{what} {seconds * 1e3:.1f} ms, was {usual_s * 1e3:.1f} ms")
        self.words = "; ".join(changes)
        self._itl_s += SLOW * (itl_s - self._itl_s)
        self._prefill_s += SLOW * (prefill_s - self._prefill_s)
