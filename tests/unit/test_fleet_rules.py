"""The fleet file: what it means, every mistake at its place, and what is probably not meant."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poolwright.cli.commands import app
from poolwright.errors import RuleFileError
from poolwright.model.rule import FleetRule, FleetStock, Standing
from poolwright.rulefiles import load, load_sources

RULES = Path(__file__).parents[2] / "rules"
CHAT = """\
apiVersion: poolwright/v1
service: chat
pools:
  - {name: chat-h100, provider: {simulated: {}}, replicas: {min: 2, max: 9}, price: 4 USD/h}
  - {name: chat-free, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
"""
CODE = CHAT.replace("chat", "code").replace("}}\n", "}, price: 1 USD/h}\n")
FLEET = """\
apiVersion: poolwright/v1
kind: Fleet
budget: 90 USD/h
stock:
  h100: {replicas: 40, pools: [chat-h100, code-h100]}
services:
  chat: {priority: 10, weight: 2}
"""


WARNED = """\
chat.yaml:5:5: pool `chat-free` has no price and costs the fleet nothing (add price: … USD/h)
fleet.yaml:3:9: the minimums of all pools cost 17 USD/h, more than the budget \
(minimums come first: lower them, or raise it)
fleet.yaml:5:20: the minimums of these pools are 4, more than the stock \
(minimums come first: lower them)"""


def told(fleet: str, **others: str) -> list[str]:
    sources = {"chat.yaml": CHAT, "code.yaml": CODE, "fleet.yaml": fleet}
    sources |= {f"{name}.yaml": text for name, text in others.items()}
    with pytest.raises(RuleFileError) as caught:
        load_sources(sources)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_the_fleet_of_the_example_services() -> None:
    rules = load(RULES)
    assert [service.service for service in rules.services] == ["chat-70b", "coding-assistant"]
    assert rules.fleet == FleetRule(
        900.0,
        (FleetStock("h100", 40, ("chat-70b-h100", "code-h100")),),
        {"chat-70b": Standing(10, 2.0), "coding-assistant": Standing(5, 1.0)},
    )
    assert rules.warnings == ()


def test_without_the_file_there_is_no_fleet_and_its_text_is_part_of_the_revision() -> None:
    sources = {"chat.yaml": CHAT, "code.yaml": CODE}
    alone, shared = load_sources(sources), load_sources({**sources, "a.yaml": FLEET})
    assert alone.fleet is None
    assert shared.fleet is not None
    assert shared.fleet.standing_of("code") == Standing(0, 1.0)
    assert alone.revision != shared.revision


def test_every_mistake_is_told_at_once_with_its_place_and_a_hint() -> None:
    text = """\
apiVersion: poolwright/v1
kind: Fleet
budget: 90
stock:
  h100: {replicas: -1, pools: [chat-h10, code-h100]}
  h200: {pools: [code-h100]}
  b200: {replicas: 1, pools: []}
services:
  chatt: {priority: high}
  code: {weight: 0, prioritty: 1}
"""
    assert told(text) == [
        "fleet.yaml:3:9: `90` has no unit (write 90 USD/h)",
        "fleet.yaml:5:20: `-1` is too small for `replicas` (write 0 or more)",
        "fleet.yaml:5:32: unknown pool `chat-h10` (did you mean `chat-h100`?)",
        "fleet.yaml:6:9: `replicas` is missing (add replicas: …)",
        "fleet.yaml:6:18: pool `code-h100` is already of the kind `h100` (keep it in one place)",
        "fleet.yaml:7:30: no pool shares the stock of `b200` (name at least one)",
        "fleet.yaml:9:3: unknown service `chatt` (did you mean `chat`?)",
        "fleet.yaml:9:21: `high` is not a whole number (write a number, such as 4)",
        "fleet.yaml:10:18: `weight` must be above 0 (write more than 0)",
        "fleet.yaml:10:21: unknown key `prioritty` (did you mean `priority`?)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("kind: Fleet", "kind: Flet", "2:7: `kind` cannot be `Flet` (did you mean `Fleet`?)"),
        ("kind: Fleet\n", "", "1:1: `kind` is missing (add kind: Fleet)"),
        ("kind: Fleet", "kind:", "2:1: `kind` is empty (write its value, or delete the line)"),
        ("budget:", "budgt:", "3:1: unknown key `budgt` (did you mean `budget`?)"),
        ("  h100: {", "  h100: {replicas: 2, ", "5:23: duplicate key `replicas`"),
        ("kind: Fleet", "kind: Fleet\nservice: chat", "3:1: unknown key `service`"),
    ],
)
def test_a_mistake(old, new, problem) -> None:
    assert old in FLEET
    (found,) = told(FLEET.replace(old, new))
    assert found.startswith(f"fleet.yaml:{problem}")


def test_a_fleet_that_shares_nothing() -> None:
    found = told("apiVersion: poolwright/v1\nkind: Fleet\nservices: {chat: {}}\n")
    assert found == [
        "fleet.yaml:1:1: a fleet that shares nothing (add budget: … USD/h, or stock: with a kind)"
    ]


def test_a_fleet_that_is_nothing_at_all() -> None:
    assert told("kind: Fleet\n- a\n")[0].startswith("fleet.yaml:2:1: ")


def test_there_is_one_fleet() -> None:
    assert told(FLEET, more=FLEET) == [
        "more.yaml:2:7: a second fleet (also in fleet.yaml; one for all services)"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("service: chat\n", "service: -chat\n"),
        ("name: chat-h100", "name: -chat-h100"),
        ("pools:", "pool:"),
        ("apiVersion", "\tapiVersion"),
    ],
)
def test_what_follows_from_a_mistake_in_a_service_is_not_told(old, new) -> None:
    assert len(told(FLEET, chat=CHAT.replace(old, new, 1))) == 1


def test_a_file_that_is_no_mapping_is_no_fleet() -> None:
    assert told("- kind: Fleet\n")[0].startswith("fleet.yaml:1:1: `the file` must have keys")


def test_a_service_of_another_kind_is_still_a_service() -> None:
    found = told(FLEET, chat=CHAT.replace("service:", "kind: Service\nservice:"))
    assert len(found) == 1
    assert found[0].startswith("chat.yaml:2:1: unknown key `kind`")


def test_a_pool_without_a_price_and_minimums_above_what_there_is_are_warned_of() -> None:
    text = FLEET.replace("90 USD/h", "10 USD/h").replace("40", "3")
    rules = load_sources({"chat.yaml": CHAT, "code.yaml": CODE, "fleet.yaml": text})
    assert "\n".join(map(str, rules.warnings)) == WARNED
    stocked = text.replace("budget: 10 USD/h\n", "")
    rules = load_sources({"chat.yaml": CHAT, "code.yaml": CODE, "fleet.yaml": stocked})
    assert len(rules.warnings) == 1


def test_check_shows_warnings_and_is_content(tmp_path) -> None:
    for name, text in {"chat": CHAT, "code": CODE, "fleet": FLEET}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 0
    assert "warning: " in result.output
    assert "chat-free` has no price" in result.output
    assert "ok: 2 service(s)" in result.output
