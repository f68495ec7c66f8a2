"""An advantage in words, and both pages of `explain` with all that was learned."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from tests.unit.learned_bench import ADVANTAGE, AHEAD, ASKED, FOUND, decided

from poolwright.model.assessment import Comparison
from poolwright.record.advantage_view import advantage_rows, alternatives_table
from poolwright.record.explain import explain
from poolwright.record.explain_pool import explain_pool
from poolwright.record.pool_story import Origin, PoolStory


def told(**changes) -> dict[str, str]:
    return dict(advantage_rows(replace(ADVANTAGE, **changes)))


def test_an_advantage_is_told_against_what_it_must_be() -> None:
    assert told() == {
        "verdict": "not granted yet: economic, but not for long enough",
        "margin": "69% of the cost that it avoids, 15% required",
        "utilisation": "62% at the forecast demand, 60% required",
        "held": "for 40 s, 10 min required",
        "figures": (
            "wse declared in the rule file, default pools measured;"
            " needs and costs at the forecast demand"
        ),
    }
    granted = told(granted=True, held_s=1500.0)
    assert granted["verdict"] == "granted, economic"
    assert granted["margin"].endswith("15% required, any keeps it")
    assert granted["utilisation"].endswith("60% required, four fifths of that keep it")
    assert granted["held"] == "for 25 min, 10 min required"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"margin": 0.1}, "not granted: it saves too little"),
        ({"margin": -5.67}, "not granted: it would cost more than it saves"),
        ({"margin": None}, "not granted: it would take no replica of the default pools over"),
        ({"required": None}, "not granted: the rules name no economic margin"),
        ({"utilisation": 0.1}, "not granted: it would be idle too much"),
        ({"granted": True, "utilisation": None}, "still granted, but it would be idle too much"),
    ],
)
def test_what_an_advantage_lacks(changes, verdict) -> None:
    rows = told(**({"kind": ""} | changes))
    assert rows["verdict"] == verdict
    assert ("margin" in rows) == (
        None not in (changes.get("margin", 0), changes.get("required", 0))
    )
    if changes.get("granted"):
        assert rows["held"] == "lost for 40 s, it ends after 10 min"
        assert rows["utilisation"].startswith("unknown at")
    else:
        assert "held" not in rows


def test_a_performance_advantage_names_the_class() -> None:
    rows = told(kind="performance", granted=True, why="the default pools cannot meet chat")
    assert (rows["verdict"], rows["because"]) == (
        "granted, performance",
        "the default pools cannot meet chat",
    )
    assert "margin" not in rows


def test_times_are_told_against_those_of_the_default_pools() -> None:
    itl = Comparison("chat", "itl", 412, 0.0021, "gpu", 90_400, 0.0183, 0.885)
    ttft = replace(itl, time="ttft", p95_s=1.25, default_p95_s=1.0, margin=-0.25)
    few = replace(itl, time="e2e", requests=40, p95_s=None, margin=None, default_p95_s=6.5)
    rows = told(comparisons=(ttft, itl, few), required_p95_margin=0.3)
    ended = "requests that ended in the last 10 min"
    assert {name: text for name, text in rows.items() if name.startswith("p95")} == {
        "p95 ttft": (
            f"of chat 1.25 s, gpu 1 s: 25% more (of 412 and 90,400 {ended}); 30% less required"
        ),
        "p95 itl": f"of chat 2.1 ms, gpu 18.3 ms: 88% less (of 412 and 90,400 {ended})",
        "p95 e2e": (
            f"of chat unknown, gpu 6.5 s (of 40 and 90,400 {ended};"
            " fewer than 100, or none of late, say nothing)"
        ),
    }
    granted = told(comparisons=(itl,), required_p95_margin=0.3, granted=True)
    assert granted["p95 itl"].endswith("; 30% less required, four fifths of that keep it")


def test_what_is_dearer_is_told_so_where_no_saving_is_required() -> None:
    rows = told(kind="", margin=-0.2, required=None)
    assert rows["verdict"] == "not granted: it would cost more than it saves"


def shown(what: object, width: int) -> list[str]:
    out = Console(record=True, width=width, file=StringIO())
    out.print(what)
    return [line.rstrip() for line in out.export_text().splitlines()]


def test_both_alternatives_stand_side_by_side() -> None:
    assert shown(alternatives_table(ADVANTAGE), 80) == [
        "alternative    replicas      USD/h  USD/1M tokens",
        "default pools  9 gpu            36           1.93",
        "with wse       1 gpu, 1 wse     14              ?",
    ]
    one = replace(ADVANTAGE.alternatives[0], replicas={}, unserved=0.25)
    short = shown(alternatives_table(replace(ADVANTAGE, alternatives=(one,))), 80)
    assert short[0].endswith("unserved")
    assert short[1].split()[2:] == ["none", "36", "1.93", "25%"]


@pytest.mark.parametrize("width", [80, 120])
def test_both_pages_have_it_and_no_raw_numbers(width: int) -> None:
    blind = replace(ASKED, blind=("demand",))
    decision = decided(FOUND, proposals=(blind,), advantage=ADVANTAGE)
    story = PoolStory("gpu", 5, decision, 900.0, Origin.BEFORE_JOURNAL, 900.0)
    for page in (explain(decision, (), 1000.0), explain_pool(story, 1000.0)):
        lines = shown(page, width)
        assert max(len(line) for line in lines) <= width
        text = " ".join(" ".join(lines).replace("│", " ").split())
        for part in (
            f"asks for 5: {AHEAD}, 1.1 are needed now; lacks demand",
            "start-up",
            "from 7 measured",
            "not granted yet: economic",
            "1 gpu, 1 wse 14 ?",
        ):
            assert part in text
        assert "need 1.1" not in text
