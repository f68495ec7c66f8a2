"""What `poolwright check --live` sees: each pool's target as its provider has it now.

Nothing is scaled or changed. All pools are looked at together, each within its own time limit, so
that one whose API hangs delays no other. What goes wrong is what was found of that pool, never the
end of the look. What the daemon would do at once is asked of the very core that it runs.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from poolwright.actuation.calls import CALL_TIMEOUT_S, bounded
from poolwright.actuation.provider import CallError, Finding, Level, Provider
from poolwright.actuation.registry import find_factory
from poolwright.clock import Clock
from poolwright.controller import Controller
from poolwright.errors import PoolwrightError
from poolwright.model.decision import Decision
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule, RuleSet, ServiceRule
from poolwright.redaction import without_secrets
from poolwright.settings import Settings

T = TypeVar("T")

CLOSING_S: Final = 2.0


class Verdict(StrEnum):
    """What is to be done about a pool, the gravest thing first."""

    PROBLEM = "problem"
    """Something is to be mended: its target, a permission, a credential, an installation."""
    UNANSWERED = "unanswered"
    """Nothing but this is known to be wrong: something outside did not answer."""
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Failure:
    """A step of the look that failed: `make` (of the provider), `read` or `inspect`."""

    step: str
    kind: str
    """Of a call's error; `settings` or `fault` where the provider could not be made."""
    message: str
    outside: bool
    """Whether another look may find it well although nothing was mended."""


@dataclass(frozen=True, slots=True)
class Look:
    service: ServiceRule
    pool: PoolRule
    report: PoolReport | None = None
    """None: the counts could not be read."""
    findings: tuple[Finding, ...] = ()
    failures: tuple[Failure, ...] = ()
    decision: Decision | None = None
    """What a daemon that starts now would decide of this count before it hears telemetry."""

    @property
    def out_of_bounds(self) -> bool:
        """Whether the target was told a count that the rule file does not allow."""
        if self.report is None:
            return False
        return not self.pool.min_replicas <= self.report.desired <= self.pool.max_replicas

    @property
    def verdict(self) -> Verdict:
        levels = {finding.level for finding in self.findings}
        if Level.PROBLEM in levels or any(not failure.outside for failure in self.failures):
            return Verdict.PROBLEM
        if self.failures:
            return Verdict.UNANSWERED
        short = self.report is not None and self.report.short != ""
        if Level.WARNING in levels or self.out_of_bounds or short:
            return Verdict.WARNING
        return Verdict.OK


async def look(
    rules: RuleSet, settings: Settings, clock: Clock, limit_s: float = CALL_TIMEOUT_S
) -> tuple[Look, ...]:
    """One look for each pool, in the order of the rule files; `limit_s` is of one call."""
    pools = [(service, pool) for service in rules.services for pool in service.pools]
    # All before the first is asked: what their clients take to load is not of a call's time.
    made = [(service, pool, _made(pool, settings)) for service, pool in pools]
    looks = await asyncio.gather(*(_look_at(*each, limit_s) for each in made))
    decided = _decided(rules, looks, clock.now())
    return tuple(replace(look, decision=decided.get(look.pool.name)) for look in looks)


def _made(pool: PoolRule, settings: Settings) -> Provider | Failure:
    try:
        return find_factory(pool.provider)(pool, settings)
    except PoolwrightError as error:
        return Failure("make", "settings", str(error), False)
    except Exception as error:  # noqa: BLE001  a fault of one adapter must not end the look
        message = without_secrets(f"{type(error).__name__}: {error}; a fault of the adapter")
        return Failure("make", "fault", message, False)


async def _look_at(
    service: ServiceRule, pool: PoolRule, provider: Provider | Failure, limit_s: float
) -> Look:
    if isinstance(provider, Failure):
        return Look(service, pool, failures=(provider,))
    try:
        report, findings = await asyncio.gather(
            _asked("read", provider.read(), limit_s), _asked("inspect", _inspect(provider), limit_s)
        )
    finally:
        with contextlib.suppress(CallError):
            await bounded(provider.close(), CLOSING_S)
    found = Look(service, pool)
    failures: list[Failure] = []
    if isinstance(report, Failure):
        failures.append(report)
    else:
        found = replace(found, report=replace(report, short=without_secrets(report.short)))
    if not isinstance(findings, Failure):
        found = replace(found, findings=findings)
    elif findings.kind not in {failure.kind for failure in failures}:
        # What kept both from their answers is told once.
        failures.append(findings)
    return replace(found, failures=tuple(failures))


async def _inspect(provider: Provider) -> tuple[Finding, ...]:
    return tuple(
        Finding(found.level, without_secrets(found.what), without_secrets(found.remedy))
        for found in await provider.inspect()
    )


async def _asked(step: str, call: Awaitable[T], limit_s: float) -> T | Failure:
    try:
        return await bounded(call, limit_s)
    except CallError as error:
        return Failure(step, error.kind, str(error), error.retried)


def _decided(rules: RuleSet, looks: Iterable[Look], now: float) -> Mapping[str, Decision]:
    """By pool: the first decisions of a controller that has seen these counts and nothing else."""
    controller = Controller(rules)
    reports: Sequence[PoolReport] = [x.report for x in looks if x.report is not None]
    for report in reports:
        controller.reported(replace(report, at=now))
    read = {report.pool for report in reports}
    return {made.pool: made for made in controller.decide(now) if made.pool in read}
