"""Decisions of whole scenarios against those that are kept in `decisions/`.

After a wanted change: `python tests/golden/test_golden.py` writes them anew; the diff is reviewed.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.golden.scenarios import SCENARIOS, decided

KEPT = Path(__file__).parent / "decisions"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_decisions_are_those_that_were_kept(name: str) -> None:
    assert decided(name) == (KEPT / f"{name}.txt").read_text()


def test_nothing_is_kept_for_a_scenario_that_is_gone() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(SCENARIOS)


if __name__ == "__main__":
    for scenario in SCENARIOS:
        (KEPT / f"{scenario}.txt").write_text(decided(scenario))
