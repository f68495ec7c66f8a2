"""Reasons, outcomes and causes in words; the same sentences stand in docs/traces.md."""

from poolwright.model.decision import Outcome, Reason

REASONS: dict[Reason, str] = {
    Reason.PROPOSED: "a trigger asked for it",
    Reason.BOUNDS: "the pool's minimum or maximum asks for it",
    Reason.STEADY: "the triggers ask for the count that is there",
    Reason.NO_OPINION: "no trigger asks for anything",
    Reason.UNKNOWN_POOL: "the provider has not reported this pool lately",
    Reason.TELEMETRY_UNHEALTHY: "a signal is missing, stale or has too few samples",
    Reason.INGEST_BEHIND: "telemetry is still being caught up with",
    Reason.RELOAD_FAILED: "the newest rule files are refused",
    Reason.PAUSED: "the rule file pauses this service",
    Reason.FROZEN: "a freeze of the rule file is active",
    Reason.NO_ADVANTAGE: "the accelerator shows no clear advantage over the default pools",
    Reason.STEP: "the step limit of this window is used up",
    Reason.COOLDOWN: "the pool changed too recently",
    Reason.STABILISING: "the wish has not been stable for long enough",
    Reason.BUDGET: "the budget does not pay for more",
    Reason.STOCK: "the provider had no capacity lately",
    Reason.PROVIDER_FAILING: "the last action failed and the next one waits",
}
OUTCOMES: dict[Outcome, str] = {
    Outcome.SCALE_UP: "scaled up",
    Outcome.SCALE_DOWN: "scaled down",
    Outcome.HOLD: "held",
    Outcome.BLOCKED: "blocked",
    Outcome.ADVISE: "would have scaled (advice only)",
}
