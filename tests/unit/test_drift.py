"""What is said of drift through the whole core, on the simulated plant; and how that is counted."""

import pytest
from benchmarks.drift import CHANGE_S, WITHIN_S, Run, Said, play

SLOWER = Run("GPU", 6.0, 1, factor=1.4)
ONE = Run("GPU", 8.0, 1, factor=2.0, alone=True)
NAMED = "replica gpu-3 takes 2.0 times as long as the others"


@pytest.mark.parametrize(
    ("run", "words", "right"),
    [
        (SLOWER, "requests take 1.41 times as long as before", True),
        (SLOWER, "requests take 0.71 times as long as before", False),
        (SLOWER, "prefill takes 1.41 times as long as before", False),
        (SLOWER, NAMED, False),
        (ONE, NAMED, True),
        (ONE, NAMED.replace("gpu-3", "gpu-30"), False),
        (ONE, f"requests take 1.22 times as long as before; {NAMED}", False),
        (Run("GPU", 6.0, 1), "requests take 1.41 times as long as before", False),
    ],
)
def test_a_word_is_right_or_it_is_wrong(run, words, right) -> None:
    said = Said(run, ((0.0, ""), (CHANGE_S + 90.0, words), (CHANGE_S + 600.0, "")))
    assert said.right_after_s == (90.0 if right else None)
    assert [text for _, text in said.wrong] == ([] if right else [words])


def test_a_right_word_before_the_change_is_wrong() -> None:
    assert Said(ONE, ((CHANGE_S - 1.0, NAMED),)).wrong


@pytest.mark.parametrize("run", [SLOWER, ONE], ids=str)
def test_a_true_change_is_said_and_nothing_else(run) -> None:
    said = play(run)
    assert said.right_after_s is not None
    assert said.right_after_s < WITHIN_S
    assert said.wrong == ()


def test_a_cold_start_under_overload_says_nothing_of_drift() -> None:
    # Long prompts make the first figures far from the later ones.
    assert play(Run("quick, crowded", 6.0, 1, long=True, cold=True)).words[1:] == ()
