"""Telemetry that names no class is of the first class of the service's rule file."""

import json

from poolwright.controller import Controller

RULES = """
apiVersion: poolwright/v1
service: {name}
classes:
  interactive: {{ttft: 2s, attainment: 99%}}
  batch: {{e2e: 60s, attainment: 95%}}
pools:
  - {{name: {name}-gpu, provider: {{simulated: {{}}}}, replicas: {{min: 1, max: 9}}}}
signals:
  slow: {{metric: ttft, class: interactive, stat: p95, window: 1m}}
triggers:
  - {{name: slowness, when: "slow > 1.5", add: 2}}
  - {{name: meet, slo: interactive}}
"""
AT = 1_700_000_000.0


def events(**told: str) -> list[bytes]:
    found: list[dict[str, object]] = []
    for n in range(40):
        at = AT + n
        for name in ("chat", "code"):
            request = {
                "type": "request", "at": at, "service": name, "pool": f"{name}-gpu",
                "replica": "r1", "input_tokens": 300, "output_tokens": 40, "ttft_s": 1.8,
                "itl_s": 0.02, "e2e_s": 2.6,
            }  # fmt: skip
            arrival = {"type": "arrival", "at": at - 2.6, "service": name, "input_tokens": 300}
            found += [arrival | told, request | told]
    return [json.dumps(event).encode() for event in found]


def decided(values: list[bytes]) -> list[tuple[str, int, dict[str, float | None]]]:
    names = ("chat", "code")
    made = Controller.from_sources({f"{name}.yaml": RULES.format(name=name) for name in names})
    for name in names:
        made.report(f"{name}-gpu", at=AT + 40, ready=2)
    made.decide(AT - 5)
    made.ingest(values)
    return [
        (d.pool, d.desired, {signal.name: signal.value for signal in d.inputs.signals})
        for d in made.decide(AT + 41)
    ]


def test_it_decides_as_if_the_first_class_were_named() -> None:
    named = decided(events(**{"class": "interactive"}))
    assert [(pool, desired, told["slow"] is not None) for pool, desired, told in named] == [
        ("chat-gpu", 4, True),
        ("code-gpu", 4, True),
    ]
    assert decided(events()) == named


def test_another_class_stays_what_it_is() -> None:
    assert [told["slow"] for _, _, told in decided(events(**{"class": "batch"}))] == [None, None]
