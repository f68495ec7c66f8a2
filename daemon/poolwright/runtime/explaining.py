"""Finds a decision in the journal and draws why it was made."""

import json
import sys
from pathlib import Path

from rich.console import Console

from poolwright.record.explain import explain, explain_dict
from poolwright.record.journal import Journal


def explain_decision(path: Path, which: str, out: Console, *, as_json: bool) -> bool:
    """Draws the decision `which` (id, start of an id, pool, `last`); False if there is none."""
    journal = Journal(path, read_only=True)
    try:
        stored = journal.last_decision() if which == "last" else journal.decision(which)
        stored = stored or journal.last_decision(pool=which)
        if stored is None:
            return False
        actions = journal.actions(stored.decision.id)
        if as_json:
            sys.stdout.write(json.dumps(explain_dict(stored, actions), indent=2) + "\n")
        else:
            out.print(explain(stored, actions))
        return True
    finally:
        journal.close()
