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
    Reason.FLEET_BUDGET: "the budget that all services share leaves this pool no more",
    Reason.FLEET_STOCK: "the stock that several pools share leaves this pool no more",
    Reason.PROVIDER_FAILING: "the last action failed and the next one waits",
    Reason.IDLE: "nobody has asked for as long as the pool waits before it goes to zero",
    Reason.WOKEN: "a request came while the pool was at zero",
    Reason.CHANGED_OUTSIDE: "somebody else set the count, and the pool is left alone",
    Reason.RESTORED: "somebody else set the count, and it goes back",
}
OUTCOMES: dict[Outcome, str] = {
    Outcome.SCALE_UP: "scaled up",
    Outcome.SCALE_DOWN: "scaled down",
    Outcome.HOLD: "held",
    Outcome.BLOCKED: "blocked",
    Outcome.ADVISE: "would have scaled (advice only)",
}
CAUSES: dict[str, str] = {
    "changed_outside": "somebody else changed the count",
    "circuit_open": "the provider failed too often and is left alone for a while",
    "daemon_restarted": "the daemon was restarted meanwhile",
    "conflict": "somebody wrote at the same time",
    "deadline": "no answer before the deadline",
    "gone": "the provider does not know the target",
    "mode_advise": "the rule file says mode: advise",
    "mode_paused": "the rule file says mode: paused",
    "invalid": "the provider does not take the order as it is",
    "no_capacity": "the provider had no capacity",
    "not_owned": "another instance controls the service now",
    "not_ready_in_time": "the replicas were not ready in time",
    "not_recorded": "the journal could not be written",
    "rules_gone": "the rule files do not have the pool any more",
    "stopping": "the daemon was stopping",
    "superseded": "a newer decision took its place",
    "throttled": "the provider throttled the calls",
    "unauthorised": "the provider refused the credentials",
    "unreachable": "the provider could not be reached",
}
"""Why an action did not end as it should; other causes are shown as they are."""
