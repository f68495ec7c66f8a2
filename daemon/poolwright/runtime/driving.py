"""The controller on the simulated plant: what the daemon does for a service, on a virtual clock."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from poolwright.controller import Controller
from poolwright.model.decision import Decision
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.runtime.orders import Orders
from poolwright.settings import REPORT_INTERVAL_S
from poolwright.simulation.plant import Event, Plant


class Driver:
    """Feeds the core with one service's telemetry, and carries its decisions out."""

    def __init__(self, rules: RuleSet, service: ServiceRule, plant: Plant) -> None:
        # The other services do not play: what they share with this one cannot be known.
        self._controller = Controller(replace(rules, services=(service,), fleet=None))
        self._service = service
        self._orders = Orders(plant)
        self.actions = 0
        self.decisions: list[Decision] = []

    @property
    def checks(self) -> int:
        """Evaluations so far that found nothing new and made no decision."""
        return self._controller.checks

    def second(self, at: float, events: Sequence[Event]) -> None:
        """Sees what happened in the second that ends at `at`, and acts."""
        controller, orders = self._controller, self._orders
        if events:
            controller.ingest([msgspec.json.encode(events)])
        for action in orders.advance(at):
            controller.acted(action)
        if at % REPORT_INTERVAL_S < 1.0:
            self._report(at)
        for decision in controller.decide(at):
            self.decisions.append(decision)
            if decision.acts:
                self.actions += 1
                for action in orders.submit(decision, at):
                    controller.acted(action)

    def _report(self, at: float) -> None:
        for pool in self._service.pools:
            report = self._orders.read(pool.name, at)
            if report is not None:
                self._controller.reported(replace(report, at=at))
