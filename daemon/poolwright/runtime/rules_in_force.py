"""The rule set that decides now, all or nothing: a bad edit leaves the last good one in force."""

import asyncio
import logging
from collections.abc import Callable

from poolwright import rulefiles
from poolwright.actuation.registry import targets
from poolwright.errors import PoolwrightError, RuleFileError
from poolwright.model.rule import RuleSet
from poolwright.record.metrics import DaemonMetrics
from poolwright.runtime import notify
from poolwright.settings import Settings

log = logging.getLogger("poolwright")

Adopt = Callable[[RuleSet], None]
"""Puts a rule set into force, or raises PoolwrightError and has changed nothing."""


class RulesInForce:
    """Read from the files of the settings; PoolwrightError when they are wrong at the start."""

    def __init__(self, settings: Settings, metrics: DaemonMetrics, adopt: Adopt) -> None:
        self._settings = settings
        self._targets = targets()
        self._metrics = metrics
        self._adopt = adopt
        self._asked = asyncio.Event()
        self.rules: RuleSet = self._load()
        self.error: str | None = None
        """Why the newest files are refused; None: they are in force."""
        metrics.reload(failed=False, revision=self.rules.revision)

    def _load(self) -> RuleSet:
        files = self._settings.rules
        return rulefiles.load(files, providers=self._targets, apis=self._settings.apis)

    def ask(self) -> None:
        """Read the files again, although nobody saw them change."""
        self._asked.set()

    async def watch(self) -> None:
        """Takes up edits as they are made."""
        files, apis = self._settings.rules, self._settings.apis
        async for result in rulefiles.watch(files, providers=self._targets, apis=apis):
            self.use(result.rules, None if result.error is None else str(result.error))

    async def answer(self) -> None:
        """Takes the files up whenever `ask` was called, and tells systemd."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            notify.reloading()
            try:
                self.use(await asyncio.to_thread(self._load), None)
            except RuleFileError as error:
                self.use(None, str(error))
            notify.ready()

    def use(self, rules: RuleSet | None, error: str | None) -> None:
        """A refused edit is seen: in the metrics, the status, the log, and by every decision."""
        if rules is not None:
            try:
                self._adopt(rules)
            except PoolwrightError as refused:
                rules, error = None, str(refused)
        if rules is None:
            self.error = error
            self._metrics.reload(failed=True, revision=self.rules.revision)
            notify.status(f"rules refused, still {self.rules.revision}")
            log.error("the rule files are refused; still on %s:\n%s", self.rules.revision, error)
            return
        self.error = None
        self.rules = rules
        self._metrics.reload(failed=False, revision=rules.revision)
        notify.status(f"rules {rules.revision} in force")
        log.info("rules %s in force", rules.revision)
        self.warn()

    def warn(self) -> None:
        """Not everybody runs `poolwright check` first."""
        for warning in self.rules.warnings:
            log.warning("%s", warning)
