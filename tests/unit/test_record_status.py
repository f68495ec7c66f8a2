"""`poolwright status` in words: what is unknown is never zero, and what is wrong stands out."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from poolwright.record.status_view import status_view

POOL: dict[str, Any] = {
    "service": "chat",
    "pool": "gpu",
    "role": "default",
    "mode": "act",
    "ready": 2,
    "starting": 1,
    "desired": 3,
    "short": "",
    "min": 2,
    "max": 24,
    "outcome": "scale_up",
    "reason": "proposed",
    "decided_at": 988.0,
    "decided_from": 2,
    "decided_to": 3,
    "owned": True,
    "learned": [],
    "share": None,
    "advantage_granted": None,
    "absence": None,
}
LEARNED = {
    "trigger": "meet-slo",
    "class": "chat",
    "basis": "measured",
    "meets": True,
    "drift": "",
    "carried_requests_per_s": 3.21,
    "need_replicas": 1.1,
    "upper_replicas": 4.7,
    "horizon_s": 143.0,
}
ABSENT = {"lasts_s": 720.0, "startup_s": 300.0, "carried_by": ["gpu"]}
BODY: dict[str, Any] = {
    "at": 1000.0,
    "rules_revision": "638dd6130f28",
    "reload_error": None,
    "journal_error": None,
    "spans_dropped": 0,
    "ingest_behind": False,
    "telemetry_age_s": 1.2,
    "lag": {"t/0": 12, "t/1": 3},
    "pools": [POOL],
}


def shown(width: int = 120, **changes: Any) -> str:
    out = Console(record=True, width=width, file=StringIO())
    out.print(status_view(BODY | changes))
    return out.export_text()


def test_all_is_well() -> None:
    text = shown()
    for part in (
        "chat, mode act",
        "scaled up from 2 to 3, 12 s ago: a trigger asked for it (proposed)",
        "2 to 24",
        "newest sample 1 s old, 15 messages not read yet",
        "638dd6130f28 in force",
    ):
        assert part in text
    assert "journal" not in text
    assert "traces" not in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"reload_error": "a.yaml:1:2: bad"}, "so nothing scales down:"),
        ({"reload_error": "a.yaml:1:2: bad"}, "a.yaml:1:2: bad"),
        ({"journal_error": "disk full"}, "nothing is scaled: disk full"),
        ({"spans_dropped": 12}, "12 spans dropped since the start; `poolwright traces rebuild`"),
        ({"telemetry_age_s": None, "lag": {}}, "none yet, no partition assigned"),
        ({"ingest_behind": True}, "it is behind, so nothing scales down"),
        ({"pools": [POOL | {"owned": False}]}, "another instance controls this service"),
        ({"pools": [POOL | {"outcome": None, "ready": None}]}, "none yet"),
        (
            {"pools": [POOL | {"short": "quota [8 of 8] reached"}]},
            "ordered replicas do not come: quota [8 of 8] reached",
        ),
        ({"pools": [POOL | {"short": None}]}, "scaled up from 2 to 3, 12 s ago"),
        (
            {"pools": [POOL | {"outcome": "hold", "reason": "new", "decided_to": 2}]},
            "held at 2, 12 s ago: new (new)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes: dict[str, Any], part: str) -> None:
    assert part in " ".join(shown(**changes).split())


@pytest.mark.parametrize(
    ("pool", "found", "line"),
    [
        ({}, {}, "carries 3.21 req/s a replica, needs 1.1, 4.7 in 2 min 23 s"),
        ({}, {"upper_replicas": None}, "carries 3.21 req/s a replica, needs 1.1"),
        (
            {},
            {"drift": "replica gpu-7 takes 1.9 times as long as the others"},
            (
                "carries 3.21 req/s a replica, needs 1.1, 4.7 in 2 min 23 s replica gpu-7 takes 1.9"
                " times as long as the others"
            ),
        ),
        (
            {"share": {"chat": 0.0}, "advantage_granted": False},
            {"basis": "declared"},
            "carries 3.21 req/s a replica (declared), no advantage",
        ),
        (
            {"share": {"chat": 0.5}, "advantage_granted": True},
            {"meets": False, "upper_replicas": None},
            "carries 3.21 req/s a replica, cannot meet the SLO of chat, needs 1.1, advantage",
        ),
        (
            {"share": {"chat": 0.5}, "advantage_granted": True, "absence": ABSENT},
            {"upper_replicas": None},
            (
                "carries 3.21 req/s a replica, needs 1.1 advantage granted, but none is ready for"
                " 12 min: its load is with gpu"
            ),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [80, 120])
def test_what_was_learned_has_its_line(width, pool, found, line) -> None:
    text = shown(width, pools=[POOL | pool | {"learned": [LEARNED | found, LEARNED]}])
    last = [row.split("│")[-2].strip() for row in text.splitlines() if row.count("│") > 4]
    assert " ".join(last).endswith(line)


def test_unknown_counts_are_no_zeros_and_services_stand_apart() -> None:
    other = POOL | {"service": "code", "mode": "advise", "ready": None, "starting": None}
    text = shown(80, pools=[POOL, other])
    assert "code, mode advise" in text
    assert text.count("?") == 2
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_why_a_pool_cannot_be_read_is_shown_as_long_as_it_lasts() -> None:
    unread = POOL | {"unread": "Deployment a/b not found; create the object (gone)"}
    assert "it cannot be read: Deployment a/b not found" in shown(pools=[unread])
    assert "cannot be read" not in shown(pools=[POOL | {"unread": None}])
