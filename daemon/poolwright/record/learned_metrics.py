"""Gauges of what was learned of each pool, as of its last decision."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from poolwright.model.decision import Decision, PoolInputs


class LearnedGauges(Collector):
    """Keeps each pool's newest decision: what it does not know is not shown, and never zero."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._inputs: dict[str, PoolInputs] = {}

    def note(self, decision: Decision) -> None:
        """Takes the place of the pool's decision before."""
        self._inputs[decision.pool] = decision.inputs

    @override
    def collect(self) -> Iterable[GaugeMetricFamily]:
        def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(self._prefix + name, text, labels=["pool", *labels])

        needed = gauge(
            "needed_replicas", "Replicas that the SLO needs, now or at the forecast's upper "
            "quantile.", "trigger", "when",
        )  # fmt: skip
        carried = gauge(
            "carried_requests_per_second", "What a replica carries at the SLO.", "trigger"
        )
        correction = gauge("need_correction_ratio", "Need after outcomes over the modelled need.")
        startup = gauge("startup_p95_seconds", "From order to ready: measured, or declared.")
        granted = gauge("advantage_granted", "1 while the accelerator pool may grow.")
        for pool, inputs in self._inputs.items():
            for found in inputs.assessments:
                needed.add_metric([pool, found.trigger, "now"], found.need)
                if found.upper is not None:
                    needed.add_metric([pool, found.trigger, "forecast"], found.upper)
                carried.add_metric([pool, found.trigger], found.capacity.requests_per_s)
            for found in inputs.assessments[:1]:
                correction.add_metric([pool], found.capacity.correction)
                startup.add_metric([pool], found.startup_s)
            if inputs.advantage is not None:
                granted.add_metric([pool], float(inputs.advantage.granted))
        return (needed, carried, correction, startup, granted)
