"""Rule tests: those of the examples pass in the core and would fail with other rules."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poolwright.cli.commands import app
from poolwright.errors import RuleFileError
from poolwright.model.decision import Outcome, Reason
from poolwright.rulefiles import load, rule_tests
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


def test_rule_tests_of_the_examples_parse_and_name_what_exists() -> None:
    rules = {service.service: service for service in load(RULES).services}
    tests = rule_tests.load(RULES / "tests")
    assert [test.service for test in tests] == ["chat-70b", "coding-assistant"]
    for test in tests:
        assert test.rules.resolve() == (RULES / f"{test.service}.yaml").resolve()
        service = rules[test.service]
        pools = {pool.name for pool in service.pools}
        assert test.start.keys() == pools
        first = test.steps[0].expect[service.pools[0].name]
        assert set(test.steps[0].signals.values()) == {"missing"}
        assert (first.outcome, first.reason) == (Outcome.BLOCKED, Reason.TELEMETRY_UNHEALTHY)
        for step in test.steps:
            named = {s.name for s in service.signals if not s.builtin}
            assert step.signals.keys() == named | {"demand"}
            assert step.expect.keys() <= pools


def test_a_mistake_in_a_rule_test_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    text = "rules: r.yaml\nservice: chat\nstart: {main: {ready: 2}}\nsteps:\n  - at: 1\n"
    file.write_text(text + "    expct: {}\n")
    with pytest.raises(RuleFileError) as caught:
        rule_tests.load(file)
    assert sorted(str(problem) for problem in caught.value.problems) == [
        f"{file}:5:9: `1` has no unit (write 1s for seconds; or ms, m, h, d)",
        f"{file}:6:5: unknown key `expct` (did you mean `expect`?)",
    ]


def test_a_refused_rule_test_is_shown_alike(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("rules: r.yaml\nservice: chat\nstart: {}\nsteps: [{at: 5}]\n")
    bad = CliRunner().invoke(app, ["test", str(file)])
    assert bad.exit_code == 1
    assert bad.stderr.splitlines()[1:3] == ["    steps: [{at: 5}]", "                 ^"]
