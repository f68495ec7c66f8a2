"""The `slo` trigger on a constant, noisy load: it settles, and stays where it is."""

import pytest
from benchmarks.flapping import WARM_UP_S, Act, direction_changes, run

UP, DOWN = (2, 3), (3, 2)


def acts(*steps: tuple[int, int]) -> list[Act]:
    return [Act(float(minute), *step) for minute, step in enumerate(steps)]


@pytest.mark.parametrize(
    ("steps", "changes"),
    [((), 0), ((UP, UP, UP), 0), ((UP, DOWN, DOWN), 1), ((UP, DOWN, UP, DOWN), 3)],
)
def test_an_action_against_the_one_before_it_is_a_change(steps, changes):
    assert direction_changes(acts(*steps), 0.0) == changes


def test_the_first_action_after_the_warm_up_is_compared_with_the_last_one_in_it():
    assert direction_changes(acts(UP, DOWN, UP, DOWN), 3.0) == 1


def test_constant_noisy_load_is_no_reason_to_change_direction():
    found = run(rate_per_s=2.0, seed=1, hours=0.5)
    assert any(act.up and act.minute * 60.0 < WARM_UP_S for act in found.acts), "it never grew"
    assert found.changes_per_hour <= 1.0, found.acts
    assert found.attainment >= 0.99
