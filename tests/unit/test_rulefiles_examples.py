"""The examples' own rule tests pass in the core, and would fail with other rules."""

from pathlib import Path

import pytest

from poolwright.runtime.rule_tests import run_rule_tests

RULES = Path(__file__).parents[2] / "rules"
SERVICES = ("chat-70b", "coding-assistant")


@pytest.mark.parametrize("service", SERVICES)
def test_the_rule_test_of_an_example_passes(service: str) -> None:
    (result,) = run_rule_tests(RULES / "tests" / f"{service}.yaml")
    assert result.failures == []


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("old", "new", "failure"),
    [
        ("for: 30s", "for: 31s", "at 91s: "),
        ("for: 30s", "for: 29s", "at 90s: "),
        ("add: 50%", "add: 25%", "expected desired 6, got 5"),
    ],
)
def test_other_rules_fail_it(
    service: str, old: str, new: str, failure: str, tmp_path: Path
) -> None:
    rules = (RULES / f"{service}.yaml").read_text()
    assert old in rules
    (tmp_path / f"{service}.yaml").write_text(rules.replace(old, new))
    (tmp_path / "tests").mkdir()
    test = tmp_path / "tests" / "t.yaml"
    test.write_text((RULES / "tests" / f"{service}.yaml").read_text())
    (result,) = run_rule_tests(test)
    assert failure in result.failures[0]
