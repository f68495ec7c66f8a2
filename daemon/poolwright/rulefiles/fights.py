"""Fights of a file's triggers, told at the threshold that should be moved."""

from poolwright.model.rule import ServiceRule
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.oscillation import Fight, describe, find_fights
from poolwright.rulefiles.shapes import RuleFile


def check_fights(document: Document, rules: RuleFile, service: ServiceRule) -> None:
    """Add them to the document's problems, of every pool whose rules are known well enough."""
    if document.has_broken(("limits",)) or any(map(_may_hold, _broken_triggers(document, rules))):
        return
    told: set[tuple[str, str]] = set()
    for i, pool in enumerate(service.pools):
        if any(document.has_broken(("pools", i, key)) for key in ("name", "role", "replicas")):
            continue
        for fight in find_fights(service, pool):
            if (fight.down, fight.up) not in told:
                told.add((fight.down, fight.up))
                _tell(document, rules, fight)


def _broken_triggers(document: Document, rules: RuleFile) -> list[object]:
    written = document.value.get("triggers") or ()
    broken = [i for i in range(len(rules.triggers)) if document.has_broken(("triggers", i))]
    return [written[i] for i in broken]


def _may_hold(written: object) -> bool:
    """Whether the trigger, once mended, may hold the count where two others would fight."""
    if not isinstance(written, dict):
        return True
    return "set" in written or not {"when", "schedule"}.intersection(written)


def _tell(document: Document, rules: RuleFile, fight: Fight) -> None:
    index = {trigger.name: i for i, trigger in enumerate(rules.triggers)}
    down, up = (rules.triggers[index[name]] for name in (fight.down, fight.up))
    load = describe(fight)
    at_down: Path = ("triggers", index[fight.down], "when")
    if fight.high == fight.low:
        message = f"removes although `{up.name}` adds, such as at {load} with {fight.high} replicas"
        document.add(at_down, message, f"move this threshold away from that of `{up.name}`")
        return
    message = f"would oscillate between {fight.high} and {fight.low} replicas, such as at {load}"
    if down.when is not None:
        hint = f"`{up.name}` adds what this removes: move this threshold away from it"
        document.add(at_down, message, hint)
    else:
        hint = f"`{down.name}` removes what this adds: move this threshold away from it"
        document.add(("triggers", index[fight.up], "when"), message, hint)
