"""Conditions: true, false, or undecided for lack of a signal."""

import pytest

from poolwright.rulefiles.conditions import compile_condition


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("a > 1 || b > 1", {"a": 2.0}, True),
        ("a > 1 || b > 1", {"b": 2.0}, True),
        ("a > 1 || b > 1", {"a": 0.0}, None),
        ("a > 1 || b > 1", {"a": 0.0, "b": 0.0}, False),
        ("a > 1 || b > 1", {}, None),
        ("a > 1 && b > 1", {"a": 2.0}, None),
        ("a > 1 && b > 1", {"a": 0.0}, False),
        ("a > 1 && b > 1", {"b": 0.0}, False),
        ("a > 1 && b > 1", {"a": 2.0, "b": 2.0}, True),
        ("!(a > 1)", {}, None),
        ("a / b > 8", {"a": 1.0, "b": 0.0}, True),
        ("a / b > 8", {"a": 0.0, "b": 0.0}, False),
    ],
)
def test_a_condition_is_true_false_or_undecided(
    source: str, values: dict[str, float], expected: bool | None
) -> None:
    assert compile_condition(source, frozenset("ab")).evaluate(values) is expected
