"""What is shown for ways to break a condition of the first example, at the very character."""

from pathlib import Path

import pytest
from tests.unit.broken_rules import Break, assert_told

BLOCK = '{name: queue-pressure, when: "waiting / ready > 8 || kv > 0.85 || slow > 1.8", for: 30s, '
BREAKS: dict[str, Break] = {
    "word": (" || kv", " or kv", "or kv", "`or` is unknown here", "write ||"),
    "equals": ("kv > 0.85", "kv = 0.85", "= 0.85", "`=` is unknown here", "write =="),
    "sign": ("kv > 0.85", "kv ≥ 0.85", "≥", "`≥` is unknown here", "write >="),
    "unit": (
        "slow > 1.8",
        "slow > 2s",
        's"',
        "a number with the unit `s`",
        "remove `s`: times are in seconds, all else has no unit",
    ),
    "share": (
        "kv > 0.85 ||",
        "kv > 85% ||",
        "% ||",
        "`%` is no share in a condition",
        "write 0.85 for 85%",
    ),
    "text": (
        "kv > 0.85",
        "kv > '0.85'",
        "> '0.85'",
        "`>` between a number and text",
        "remove the quotes: signals are numbers",
    ),
    "chain": (
        "kv > 0.85",
        "0.5 < kv < 0.85",
        "< 0.85",
        "`<` between true or false and a number",
        "compare twice: a > 1 && a < 5",
    ),
    "no comparison": (
        "kv > 0.85",
        "kv",
        "|| kv ||",
        "`||` needs true or false, not a number",
        "compare it, such as with > 0",
    ),
    "bracket": (
        "slow > 1.8",
        "(slow > 1.8",
        '"waiting',
        "a `)` is missing",
        "close every `(`",
    ),
    "end": (
        "slow > 1.8",
        "slow >",
        '", for',
        "the condition ends too early",
        "write what it is compared with",
    ),
    "function": (
        "kv > 0.85",
        "max(kv, slow) > 0.85",
        "max",
        "there is no function `max`",
        "write it with + - * / < > == && || ! ( ) and ? :",
    ),
    "path": (
        "kv > 0.85",
        "kv.p95 > 0.85",
        ".p95",
        "a signal is one number and has no parts",
        "remove the point and what follows: the signal's `stat` chooses the statistic",
    ),
    "in a block": (
        BLOCK + "add: 50%}",
        "name: queue\n    when: |\n      waiting / ready > 8 ||\n      kvv > 0.85\n    add: 4",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
    "in folded lines": (
        BLOCK + "add: 50%}",
        "name: q\n    when: >-\n      kv > 9 ||\n\n      slow > 3 &&\n      kvv > 8\n    add: 4",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
    "in quotes over two lines": (
        BLOCK + "add: 50%}",
        "{name: q, add: 4, when: 'kv > 9 ||\n      kvv > 3'}",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_condition_is_told_in_words(name: str, tmp_path: Path) -> None:
    # What is missing is shown at the end.
    assert_told(BREAKS[name], tmp_path / "r.yaml", at_its_place=name != "bracket")
