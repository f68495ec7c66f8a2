"""Which replicas a scale-down asks the provider to let go first, in words."""

from typing import Final

from poolwright.model.decision import Decision, Outcome, ReplicaLoad
from poolwright.record.wording import number, percent

SHOWN: Final = 6


def first_to_go(decision: Decision) -> str | None:
    """Their names and loads, the least loaded one first; None where no replica goes."""
    if decision.outcome is not Outcome.SCALE_DOWN:
        return None
    named = decision.inputs.least_loaded
    if not named:
        return "those that the provider chooses, as none has said lately what it has to do"
    parts = [_load(load) for load in named[:SHOWN]]
    if len(named) > SHOWN:
        parts.append(f"{len(named) - SHOWN} more")
    rest = decision.current - decision.desired - len(named)
    chosen = f"; and {rest} that the provider chooses" if rest else ""
    return f"{', '.join(parts)}{chosen}"


def _load(load: ReplicaLoad) -> str:
    usage = load.kv_cache_usage
    cache = "" if usage is None else f", KV cache {percent(usage)}"
    return f"{load.replica} ({number(load.running)} running, {number(load.waiting)} waiting{cache})"
