"""The public Python API, as docs/api.md shows it."""

import re
from pathlib import Path

import pytest

import poolwright
from poolwright.controller import Controller

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "coding-assistant.yaml"
START = 1_700_000_000.0


def replica(at: float, name: str, running: float, waiting: float = 0.0) -> dict[str, object]:
    return {
        "type": "replica",
        "at": at,
        "service": "coding-assistant",
        "pool": "code-h100",
        "replica": name,
        "running": running,
        "waiting": waiting,
        "kv_cache_usage": 0.2,
    }


def drive(controller: Controller, seconds: int, running: float):
    decisions = []
    for second in range(seconds):
        at = START + second
        if second % 5 == 0:
            controller.ingest(replica(at, name, running) for name in ("r1", "r2"))
            controller.report("code-h100", at=at, ready=2, starting=0)
            controller.report("code-wse", at=at, ready=0)
        decisions += controller.decide(now=at)
    return decisions


def test_busy_replicas_make_the_pool_grow_and_say_why() -> None:
    controller = Controller.from_rules(RULES)
    decision = next(d for d in drive(controller, 3, 100.0) if d.acts)
    assert (decision.pool, decision.current, decision.desired) == ("code-h100", 2, 5)
    assert (decision.outcome, decision.reason) == ("scale_up", "proposed")
    assert controller.next_wake == START + 3


def test_bad_records_are_told_and_stop_nothing() -> None:
    controller = Controller.from_rules(RULES)
    good = replica(START, "r1", 1.0)
    assert controller.ingest([b"{", good, {**good, "service": "other"}]) == 1
    assert [letter.reason for letter in controller.rejected] == ["undecodable", "unknown_service"]


def test_a_restored_controller_goes_on_as_if_nothing_had_happened() -> None:
    one, other = Controller.from_rules(RULES), Controller.from_rules(RULES)
    drive(one, 20, 30.0)
    other.restore(one.dump())
    for controller in (one, other):
        controller.ingest([replica(START + 20, "r1", 150.0), replica(START + 20, "r2", 150.0)])
        controller.report("code-h100", at=START + 20, ready=2)
    assert one.decide(START + 20) == other.decide(START + 20)


def test_the_package_gives_the_controller() -> None:
    assert poolwright.Controller is Controller
    with pytest.raises(AttributeError):
        poolwright.nothing  # noqa: B018


def test_the_example_of_the_page_prints_what_the_page_says(capsys, monkeypatch) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    example = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    (printed,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(compile(example, "docs/api.md", "exec"), {})
    shown, tree = capsys.readouterr().out.split("\ncode-h100: ", 1)
    assert shown.splitlines() == printed.splitlines()
    assert tree.startswith("scaled up from 4 to 5 replicas, at ")
    assert "concurrency: asks for 5; running" in tree
