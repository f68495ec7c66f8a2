"""Rule files: what loads, and where and how each mistake is shown."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolwright.actuation.registry import targets
from poolwright.errors import Problem, RuleFileError
from poolwright.model.rule import Amount, Change, PoolRole, ThresholdTrigger
from poolwright.rulefiles import load, load_sources

RULES = Path(__file__).parents[2] / "rules"
GOOD = """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s}
pools:
  - name: main
    provider: {simulated: {pool: main}}
    replicas: {min: 2, max: 24}
    serves: [interactive]
signals:
  waiting: {metric: requests_waiting, across: sum, stat: avg, window: 30s}
triggers:
  - name: more
    when: "waiting / ready > 8"
    add: 50%
  - name: fewer
    when: waiting / ready < 2
    remove: 1
  - name: ramp
    schedule: {start: "30 7 * * MON-FRI", tz: Europe/Paris, lasts: 4h, min: 8}
"""


def problems_of(*changes: tuple[str, str]) -> list[str]:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(RuleFileError) as caught:
        load_sources({"r.yaml": text}, providers=targets())
    return [str(problem) for problem in caught.value.problems]


def test_the_examples_load() -> None:
    rules = load(RULES)
    assert [s.service for s in rules.services] == ["chat-70b", "coding-assistant"]
    chat = rules.services[0]
    assert [pool.role for pool in chat.pools] == [PoolRole.DEFAULT, PoolRole.ACCELERATOR]
    assert chat.limits.up.step == Amount(4, 1.0)
    assert chat.limits.budget_usd_per_hour == 400.0
    assert chat.pools[1].lease_s == 3600.0
    trigger = chat.triggers[0]
    assert isinstance(trigger, ThresholdTrigger)
    assert (trigger.change, trigger.amount, trigger.for_s) == (Change.ADD, Amount(0, 0.5), 30.0)
    assert trigger.when.names == {"waiting", "ready", "kv", "slow"}
    assert [s.name for s in chat.signals if s.builtin] == ["ready", "demand"]


def test_the_revision_follows_the_contents_and_not_the_folder() -> None:
    here = load_sources({"a/r.yaml": GOOD}).revision
    assert load_sources({"b/r.yaml": GOOD}).revision == here
    assert load_sources({"a/r.yaml": GOOD + "\n"}).revision != here


NO_KEY = "    provider: {simulated: {pool: main}}\n"
BROKEN = {
    "unknown key": (
        ("    serves:", "    servs:"),
        "9:5: unknown key `servs` (did you mean `serves`?)",
    ),
    "missing key": ((NO_KEY, ""), "6:5: `provider` is missing (add provider: {kubernetes: {…}})"),
    "unknown signal": (
        ("waiting / ready > 8", "waitng / ready > 8"),
        "14:12: unknown signal `waitng` (did you mean `waiting`?)",
    ),
    "unknown signal after rewritten numbers": (
        ("waiting / ready > 8", "waiting > 8 && waitin > 10"),
        "14:27: unknown signal `waitin` (did you mean `waiting`?)",
    ),
    "unknown signal in a block": (
        ('"waiting / ready > 8"', "|\n      waiting > 10 &&\n      waitin > 1"),
        "16:7: unknown signal `waitin` (did you mean `waiting`?)",
    ),
    "type of operands": (
        ("waiting / ready > 8", "waiting > 8 && waiting > 'a'"),
        "14:35: `>` between a number and text (remove the quotes: signals are numbers)",
    ),
    "type of the condition": (
        ("waiting / ready > 8", "waiting / ready"),
        (
            "14:12: a condition must be true or false, this is a number"
            " (compare it, such as with > 8)"
        ),
    ),
    "min above max": (
        ("min: 2,", "min: 25,"),
        "8:21: min 25 is above max 24 (lower min or raise max)",
    ),
    "duplicate trigger": (
        ("name: fewer", "name: more"),
        "16:11: duplicate trigger `more` (also at r.yaml:13:11; rename one)",
    ),
    "duplicate key": (
        ("service: chat\n", "service: chat\nservice: code\n"),
        "3:1: duplicate key `service` (first given in line 2; keep one)",
    ),
    "syntax": (
        ("[interactive]", "[interactive"),
        "9:13: `[` is not closed (close it on its line)",
    ),
    "tab": (
        ("classes:\n", "classes:\n\t"),
        "4:1: a tab (indent with spaces, YAML allows no tabs)",
    ),
    "time zone": (
        ("Europe/Paris", "Europe/Pariss"),
        "20:47: unknown time zone `Europe/Pariss` (did you mean `Europe/Paris`?)",
    ),
    "cron": (
        ("30 7 *", "61 7 *"),
        ("20:23: `61` is no minute in cron `61 7 * * MON-FRI` (minute: 0-59, *, lists and steps)"),
    ),
    "inverted thresholds": (
        ("ready < 2", "ready < 9"),
        (
            "17:11: removes although `more` adds, such as at waiting = 26 with 3 replicas"
            " (move this threshold away from that of `more`)"
        ),
    ),
    "oscillation": (
        ("ready < 2", "ready < 7"),
        (
            "17:11: would oscillate between 3 and 2 replicas, such as at waiting = 18"
            " (`more` adds what this removes: move this threshold away from it)"
        ),
    ),
    "unknown class": (
        ("[interactive]", "[interactve]"),
        "9:14: unknown class `interactve` (did you mean `interactive`?)",
    ),
    "unknown metric": (
        ("requests_waiting", "request_waiting"),
        "11:21: unknown metric `request_waiting` (did you mean `requests_waiting`?)",
    ),
    "duration": (
        ("lasts: 4h", "lasts: 4"),
        "20:68: `4` has no unit (write 4s for seconds; or ms, m, h, d)",
    ),
    "amount": (
        ("50%", "lots"),
        '15:10: `lots` is not an amount of replicas (write 4, 50% or "max(4, 100%)")',
    ),
    "two changes": (
        ("remove: 1", "remove: 1\n    set: 3"),
        "16:5: a trigger with both remove and set (keep one of them)",
    ),
    "no default pool": (
        ("- name: main\n", "- name: main\n    role: accelerator\n    advantage: {economic: 15%}\n"),
        "5:1: no default pool (give one pool role: default)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_shown_at_its_place(name: str) -> None:
    change, problem = BROKEN[name]
    assert problems_of(change) == [f"r.yaml:{problem}"]


def test_the_unbroken_file_loads_and_thresholds_apart_are_no_oscillation() -> None:
    assert load_sources({"r.yaml": GOOD}).services[0].service == "chat"
    assert load_sources({"r.yaml": GOOD.replace("ready < 2", "ready < 4")}).services


def test_all_mistakes_of_a_file_are_shown_at_once() -> None:
    found = problems_of(
        ("min: 2,", "min: 25,"),
        ("waiting / ready > 8", "waitng / ready > 8"),
        ("[interactive]", "[interactve]"),
        ("Europe/Paris", "Europe/Pariss"),
        ("name: fewer", "name: more"),
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "r.yaml:8:21",
        "r.yaml:9:14",
        "r.yaml:14:12",
        "r.yaml:16:11",
        "r.yaml:20:47",
    ]


DOCUMENTED = {
    "{simulated: {": "{kubernets: {",
    "{pool: main}": "{poool: main}",
    "    serves:": "    servs:",
    "service: chat\n": "service: chat\nservice: code\n",
    '"waiting / ready > 8"': '"waiting / ready"',
    "waiting / ready > 8": "waiting > 'a'",
    'waiting / ready > 8"': 'waiting > 85%"',
    "min: 2,": 'min: "2",',
    "min: 2, max: 24}": "min: 2, max: 24}\n    price:",
    '"30 7 * * MON-FRI"': '"0 30 7 * * *"',
    "ready < 2": "ready < 9",
    "/ ready < 2": "/ ready < 7",
    "classes:\n": "classes:\n\t",
}


def test_the_documented_mistakes_are_shown_as_the_docs_say() -> None:
    docs = (RULES.parent / "docs" / "rules.md").read_text()
    found = problems_of(
        ("min: 2,", "min: 25,"),
        ("[interactive]", "[interactve]"),
        ("waiting / ready > 8", "waitng / ready > 8"),
        ("add: 50%", "ad: 50%"),
        ("name: fewer", "name: more"),
        ("Europe/Paris", "Europe/Pariss"),
        ("lasts: 4h", "lasts: 4"),
    )
    assert "```text\n" + "\n".join(found) + "\n```" in docs
    for change in DOCUMENTED.items():
        (problem,) = problems_of(change)
        assert f"| {problem.split(': ', 1)[1]} |" in docs


PIECES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [*"\t{}[]|%#\n'\"\\\0", ": ", "- ", "&a ", "*a", "!!int ", "!!float ", "<<: ", "? "]
    ),
    st.sampled_from(["---\n", "null", "1e999", ".nan", "0x", "9" * 20]),
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), PIECES), min_size=1, max_size=4
)


def _problems_of_text(text: str) -> tuple[Problem, ...] | None:
    try:
        load_sources({"r.yaml": text}, providers=targets())
    except RuleFileError as error:
        return error.problems
    return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_mutated_text_loads_or_is_a_rule_file_error(edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, cut, piece in edits:
        text = text[:at] + piece + text[at + cut :]
    problems = _problems_of_text(text)
    assert problems is None or problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems or ())
