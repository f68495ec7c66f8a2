"""A pool with `zero_after` goes to zero on what is known alone, and any request wakes it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.controller import Controller
from poolwright.rulefiles import load_sources
from poolwright.signals.gauges import WORK_MAX_AGE_S

ZERO_AFTER_S = 60.0
STEP_S = 5.0
RULES = load_sources(
    {
        "chat.yaml": """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, provider: {simulated: {}}, replicas: {min: 0, max: 4, zero_after: 1m}}
signals:
  running: {metric: requests_running, across: sum, stat: last, window: 30s}
triggers:
  - {name: load, target: {signal: running, per_replica: 4}}
limits:
  up: {step: 4, per: 1s, stabilise: 0s}
  down: {step: 4, per: 1s, stabilise: 10s}
"""
    }
)
moments = st.fixed_dictionaries(
    {
        "running": st.sampled_from((0, 0, 0, 0, 3)),
        "silent": st.sampled_from((0, 0, 0, 1)),
        "starting": st.sampled_from((0, 0, 0, 1)),
        "arrives": st.sampled_from((False,) * 6 + (True,)),
        "behind": st.sampled_from((False,) * 9 + (True,)),
        "lasts": st.integers(1, 20),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(moments, min_size=1, max_size=25), st.integers(0, 4))
def test_zero_is_reached_on_known_idleness_alone_and_left_on_any_request(story, count):
    controller = Controller(RULES)
    at, heard_at, idle_since = 1000.0, 0.0, None
    for moment in (m for m in story for _ in range(m["lasts"])):
        at += STEP_S
        arrives = moment["arrives"]
        if arrives:
            controller.ingest([{"type": "arrival", "at": at, "service": "chat", "class": "c"}])
        starting = min(moment["starting"], count)
        reporting = max(0, count - starting - moment["silent"])
        for n in range(reporting):
            event = {"type": "replica", "at": at, "service": "chat", "pool": "gpu"}
            told = {"replica": f"r{n}", "running": moment["running"], "waiting": 0}
            controller.ingest([event | told])
        controller.report("gpu", at=at, ready=count - starting, starting=starting)
        controller.health(ingest_behind=moment["behind"])
        # Silence is noticed once the last thing that was said is too old.
        heard_at = at if reporting else heard_at
        works = moment["running"] and reporting
        known_idle = at - heard_at <= WORK_MAX_AGE_S and not (works or starting or arrives)
        idle_since = (at if idle_since is None else idle_since) if known_idle else None
        before = count
        for decision in controller.decide(at):
            if decision.acts:
                count = decision.desired
        if before and not count:
            assert idle_since is not None
            assert at - idle_since >= ZERO_AFTER_S - STEP_S
            assert not moment["behind"]
        if arrives:
            assert count > 0
