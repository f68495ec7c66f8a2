"""What was learned of a pool, and what its triggers make of it, in sentences with units."""

import math
from collections.abc import Iterable, Iterator, Mapping

from poolwright.capacity.assessing import LEVEL_S, SUSTAINED_S
from poolwright.capacity.calibration import FIRST, TRIAL
from poolwright.capacity.speed import TRUSTED_REQUESTS
from poolwright.model.assessment import Assessment, Basis, Capacity, ModelForecast, Share
from poolwright.model.decision import Decision, PoolInputs, Proposal
from poolwright.record.wording import duration, exact_duration, percent, replicas, rounded

Row = tuple[str, str]
BASES: dict[Basis, str] = {
    Basis.MEASURED: "measured",
    Basis.DECLARED: "declared in the rule file",
    Basis.PRIOR: "a cautious guess",
}
MODELS = {
    "naive": "as now",
    "level": "mean of 30 s",
    "slow_level": "mean of 3 min",
    "mean": "mean of 15 min",
    "trend": "trend of 3 min",
    "season": "time of day and week",
}
LEAST_WEIGHT = 0.01
"""Models with a smaller say are not named."""
LEAST_TOLD = 0.05
"""Replicas; less of them is not worth a word."""
MEASURED_STARTUPS = 5
"""With fewer of them the declared time counts as one of them."""


def learned_why(proposal: Proposal, inputs: PoolInputs, *, past: bool = False) -> str | None:
    """What a trigger's number follows from; None where it was not learned, or nothing is known."""
    found = next((one for one in inputs.assessments if one.trigger == proposal.trigger), None)
    if found is None:
        return None
    if proposal.kind == "slo":
        return _slo(proposal, found, inputs.share, past=past)
    if proposal.kind == "forecast" and "asked" in proposal.evidence:
        return _forecast(proposal, found, past=past)
    return None


def _slo(proposal: Proposal, found: Assessment, share: Share | None, *, past: bool) -> str:
    if share is not None and share.count is not None:
        return f"the cheapest plan over the pools gives it {shares(share.classes)}"
    if not found.learned:
        return proposal.detail
    backlog = proposal.evidence.get("backlog", 0.0)
    queue = f", {replicas(backlog)} more for the {found.waiting:.0f} that wait" if backlog else ""
    if found.upper is None:
        most = max(found.level, found.peak or 0.0)
        growing = (
            f", {replicas(found.carried_on)} where it goes on growing"
            if found.carried_on is not None and found.carried_on > most
            else ""
        )
        return (
            f"{replicas(found.level)} replicas {_are(past=past)} needed on average over the last"
            f" {duration(LEVEL_S)}, {replicas(most)} at most so far"
            f"{growing}{queue}; {duration(found.history_s)} of history are too little"
            " for a forecast, and until then it asks for no fewer"
        )
    text = _ahead(found, past=past)
    text += f", {replicas(found.need)} {_are(past=past)} needed {'then' if past else 'now'}{queue}"
    wanted, asked = math.ceil(found.upper + backlog), proposal.replicas or 0
    if asked > wanted and found.capacity.tested + TRIAL < 1.0:
        text += (
            f"; fewer only step by step, as no load above {percent(found.capacity.tested)}"
            " was tried yet"
        )
    elif asked > wanted and proposal.detail.endswith("wanted back"):
        text += "; fewer later, as the last one that was given up was wanted back"
    elif asked > wanted:
        text += "; fewer once that is clearly below a whole number"
    elif 0 < asked < wanted and proposal.detail.endswith("if that lasts"):
        text += "; one more if that lasts"
    elif 0 < asked < wanted:
        text += "; so little beyond a whole number asks for no replica more"
    return text


def _forecast(proposal: Proposal, found: Assessment, *, past: bool) -> str:
    text = f"{_ahead(found, past=past)}; {_skill(found)}"
    if proposal.replicas is None:
        asked = f"{proposal.evidence['asked']:.0f}"
        text += f". That would be {asked}, but it is advice only until it does better"
    return text


def _ahead(found: Assessment, *, past: bool) -> str:
    will = "would" if past else "will"
    return (
        f"{replicas(found.upper or 0.0)} replicas {will} be needed in"
        f" {exact_duration(found.horizon_s)} ({percent(found.quantile)} quantile)"
    )


def _are(*, past: bool) -> str:
    return "were" if past else "are"


def _skill(found: Assessment) -> str:
    skill = found.skill or 0.0
    if abs(skill) < 0.0005:
        return "no model does better than the naive one"
    where = "below" if skill >= 0.0 else "above"
    return f"the best model's loss is {percent(abs(skill))} {where} the naive one's"


def learned_rows(decision: Decision) -> Iterator[Row]:
    """What is known of the pool: its share, its speed, its demand, its forecasts."""
    inputs = decision.inputs
    share = inputs.share
    if share is not None and share.detail:
        yield "share", f"{shares(share.classes)} ({share.detail})"
    if not inputs.assessments:
        return
    first = inputs.assessments[0]
    by_class: dict[str, Assessment] = {}
    for found in inputs.assessments:
        by_class.setdefault(found.request_class, found)
    for name, found in by_class.items():
        yield "carries", _carries(name, found.capacity)
        if not found.capacity.meets:
            yield "SLO", f"no load of this pool meets that of {name}: the counts are best effort"
    yield "speed", _speed(first.capacity)
    if first.capacity.drift:
        yield "changed", first.capacity.drift
    yield "corrected", _correction(first.capacity.correction)
    yield "start-up", _startup(first)
    if share is not None and not any(share.classes.values()):
        return
    yield "demand", f"{rounded(first.demand_per_s)} requests/s, {_waiting(first.waiting)}"
    for name, found in by_class.items():
        label = f" for {name}" if len(by_class) > 1 else ""
        yield "needs", _level(found) + label
    yield from _forecasts(decision)


def shares(classes: Mapping[str, float]) -> str:
    """`all of chat, 40 % of batch`; `no load`."""
    parts = [
        f"{'all' if share > 0.995 else percent(share)} of {name}"
        for name, share in classes.items()
        if share > 0.0
    ]
    return ", ".join(parts) or "no load"


def _carries(request_class: str, capacity: Capacity) -> str:
    basis = BASES[capacity.basis]
    if capacity.basis is Basis.MEASURED:
        basis += f" from {rounded(capacity.requests)} requests, {percent(capacity.error)} error"
    else:
        basis += f" until {TRUSTED_REQUESTS:.0f} requests ended, {capacity.requests:.0f} so far"
    return (
        f"{rounded(capacity.requests_per_s)} requests/s, {rounded(capacity.tokens_per_s)} tokens/s"
        f" a replica at the SLO of {request_class} ({basis})"
    )


def _speed(capacity: Capacity) -> str:
    return (
        f"{_ms(capacity.itl_base_s)} + {_ms(capacity.itl_per_request_s)} a request between tokens,"
        f" {_ms(capacity.prefill_base_s)} + {_ms(capacity.prefill_per_token_s)} a token for prefill"
    )


def _ms(seconds: float) -> str:
    return f"{rounded(seconds * 1e3)} ms"


def _correction(factor: float) -> str:
    if factor < 0.995:
        less = percent(1.0 - factor)
        return f"{less} less than modelled: fewer requests missed their SLO than the model foresaw"
    if factor < 1.005:
        return "by nothing: requests meet their SLO where the model says so"
    more = f"{percent(factor - 1.0)} more than modelled"
    if math.isclose(factor, FIRST):
        return f"{more}, as at first: no outcome has changed that yet"
    if factor > FIRST:
        return f"{more}, because more requests missed their SLO than the model foresaw"
    return f"{more}; {percent(FIRST - 1.0)} at first, and few requests have missed their SLO since"


def _startup(found: Assessment) -> str:
    time = exact_duration(found.startup_s)
    if not found.startups:
        return f"{time}, declared; none was measured yet"
    declared = "" if found.startups >= MEASURED_STARTUPS else " and the declared one"
    return f"{time} at the 95th percentile, from {found.startups} measured{declared}"


def _waiting(waiting: float | None) -> str:
    if waiting is None:
        return "no replica says how many wait"
    return f"{waiting:.0f} waiting" if waiting else "none waiting"


def _level(found: Assessment) -> str:
    return (
        f"{replicas(found.level)} replicas on average over the last {duration(LEVEL_S)},"
        f" {replicas(found.sustained)} over {duration(min(found.history_s, SUSTAINED_S))}"
    )


def _forecasts(decision: Decision) -> Iterator[Row]:
    """Which models have a say, for each trigger; once for triggers that agree."""
    told = {proposal.trigger for proposal in decision.proposals if proposal.kind == "forecast"}
    agreeing: dict[str, list[Assessment]] = {}
    for found in decision.inputs.assessments:
        if found.models:
            agreeing.setdefault(_models(found.models) + _lowered(found), []).append(found)
    for models, group in agreeing.items():
        names = [found.trigger for found in group]
        # A forecast trigger's own sentence has the loss.
        skill = "" if told.intersection(names) else f"; {_skill(group[0])}"
        yield "forecast", f"{', '.join(names)}: {models}{skill}"


def _lowered(found: Assessment) -> str:
    by = found.lowered_by or 0.0
    return f"; {replicas(by)} less than they say, as no more was felt" if by >= LEAST_TOLD else ""


def _models(models: Mapping[str, ModelForecast]) -> str:
    named: Iterable[tuple[str, ModelForecast]] = sorted(
        models.items(), key=lambda item: -item[1].weight
    )
    return ", ".join(
        f"{MODELS.get(name, name)} {percent(model.weight)}"
        for name, model in named
        if model.weight >= LEAST_WEIGHT
    )
