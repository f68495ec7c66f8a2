"""Finds a decision, or a pool's story, in the journal and says why."""

import json
import sys
from pathlib import Path

from rich.console import Console

from poolwright import rulefiles
from poolwright.errors import PoolwrightError
from poolwright.model.decision import Decision
from poolwright.model.rule import ServiceRule
from poolwright.record.absence import absent_since
from poolwright.record.explain import explain, explain_dict
from poolwright.record.explain_pool import explain_pool, explain_pool_dict
from poolwright.record.journal import Journal
from poolwright.record.pool_story import pool_story


def explain_from(path: Path, which: str, out: Console, now: float, *, as_json: bool) -> bool:
    """A pool's count, or the decision `which` (an id, its start, `last`); False if there is none.

    `now` is what the times are told against.
    """
    journal = Journal(path, read_only=True)
    try:
        story = pool_story(journal, which)
        if story is not None:
            if as_json:
                _print(explain_pool_dict(story))
            else:
                out.print(explain_pool(story, now, rule_of(journal, story.latest)), highlight=False)
            return True
        stored = journal.last_decision() if which == "last" else journal.decision(which)
        if stored is None:
            return False
        actions = journal.actions(stored.decision.id)
        if as_json:
            _print(explain_dict(stored, actions))
        else:
            made = stored.decision
            since = absent_since(journal, made.pool, made.at)
            out.print(explain(made, actions, now, rule_of(journal, made), since))
        return True
    finally:
        journal.close()


def rule_of(journal: Journal, decision: Decision) -> ServiceRule | None:
    """The rule that the decision was made by; None where this version cannot read it any more."""
    try:
        rules = rulefiles.load_sources(journal.rules(decision.rules_revision))
    except PoolwrightError:
        return None
    return next((s for s in rules.services if s.service == decision.service), None)


def _print(body: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(body, indent=2) + "\n")
