"""The JSON Schema that editors use: current, and it accepts what loads."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from poolwright.errors import RuleFileError
from poolwright.rulefiles import load_sources, schema

RULES = Path(__file__).parents[2] / "rules"
SCHEMA = json.loads((RULES / "schema.json").read_text())
EXAMPLES = sorted(RULES.glob("*.yaml"))
CHAT = (RULES / "chat-70b.yaml").read_text()
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
NOTES = {"then", "else", "$schema", "$defs", "title", "description", "default", "examples"}


def accepts(part: dict[str, Any], value: Any) -> bool:
    """JSON Schema's own rules, of the keywords that the schema uses; any other is an error."""
    return all(RULES_OF[keyword](part, value) for keyword in part.keys() - NOTES)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_type(part: dict[str, Any], value: Any) -> bool:
    names = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return not isinstance(value, bool) and any(isinstance(value, TYPES[name]) for name in names)


def _others(part: dict[str, Any], value: Any) -> bool:
    rule = part["additionalProperties"]
    others = value.keys() - part.get("properties", {}).keys() if isinstance(value, dict) else set()
    if isinstance(rule, bool):
        return rule or not others
    return all(accepts(rule, value[key]) for key in others)


def _branch(part: dict[str, Any], value: Any) -> bool:
    return accepts(part["then" if accepts(part["if"], value) else "else"], value)


def _refers(part: dict[str, Any], value: Any) -> bool:
    return accepts(SCHEMA["$defs"][part["$ref"].removeprefix("#/$defs/")], value)


def _properties(part: dict[str, Any], value: Any) -> bool:
    rules = part["properties"]
    written = rules.keys() & value.keys() if isinstance(value, dict) else set()
    return all(accepts(rules[key], value[key]) for key in written)


RULES_OF: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "$ref": _refers,
    "type": _is_type,
    "enum": lambda part, value: value in part["enum"],
    "const": lambda part, value: bool(value == part["const"]),
    "pattern": lambda p, v: not isinstance(v, str) or re.search(p["pattern"], v) is not None,
    "maxLength": lambda p, v: not isinstance(v, str) or len(v) <= p["maxLength"],
    "minimum": lambda p, v: not _is_number(v) or v >= p["minimum"],
    "maximum": lambda p, v: not _is_number(v) or v <= p["maximum"],
    "exclusiveMinimum": lambda p, v: not _is_number(v) or v > p["exclusiveMinimum"],
    "exclusiveMaximum": lambda p, v: not _is_number(v) or v < p["exclusiveMaximum"],
    "required": lambda p, v: not isinstance(v, dict) or set(p["required"]) <= v.keys(),
    "properties": _properties,
    "additionalProperties": _others,
    "minProperties": lambda p, v: len(v) >= p["minProperties"],
    "maxProperties": lambda p, v: len(v) <= p["maxProperties"],
    "minItems": lambda p, v: len(v) >= p["minItems"],
    "items": lambda p, v: all(accepts(p["items"], item) for item in v),
    "anyOf": lambda p, v: any(accepts(option, v) for option in p["anyOf"]),
    "oneOf": lambda p, v: sum(accepts(option, v) for option in p["oneOf"]) == 1,
    "not": lambda p, v: not accepts(p["not"], v),
    "if": _branch,
}


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def loads(text: str) -> bool:
    try:
        load_sources({"r.yaml": text})
    except RuleFileError:
        return False
    return True


def test_the_committed_schema_is_current() -> None:
    assert schema() == SCHEMA, "run: poolwright schema > rules/schema.json"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_schema_accepts_an_example_that_names_it_for_editors(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert accepts(SCHEMA, parsed(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("27.52 USD/h", "27 USD/h"),
        ("27.52 USD/h", " 27.5USD/h "),
        ("for: 30s", "for: 1h 30m"),
        ("for: 30s", "for: 0.5ms"),
        ("add: 50%", "add: 4"),
        ("add: 50%", 'add: "4"'),
        ("add: 50%", "add: 12.5 %"),
        ("add: 50%", '"add": "max( 4 , 100 % )"'),
        ("stat: p95", "stat: p99.9"),
        ("per_replica: 40", "per_replica: 0.5"),
        ("service: chat-70b", "service: chat-70b\nmode: advise\nheartbeat: 1m"),
        ("  budget: 400 USD/h", "  freeze: [{name: n, start: 0 22 * * *, lasts: 8h}]"),
    ],
)
def test_what_loads_is_accepted(old: str, new: str) -> None:
    text = CHAT.replace(old, new, 1)
    assert text != CHAT
    assert loads(text)
    assert accepts(SCHEMA, parsed(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("27.52 USD/h", "27.52"),
        ("27.52 USD/h", "$27.52"),
        ("for: 30s", "for: 30"),
        ("add: 50%", "add: 0.5"),
        ("add: 50%", "add: lots"),
        ("add: 50%", "add: -1"),
        (", add: 50%", ""),
        ("add: 50%", "add: 50%, remove: 1"),
        ("add: 50%", "add: 50%, target: {signal: running, per_replica: 4}"),
        ("economic: 15%", "economic: 15"),
        ("stat: p95", "stat: p95th"),
        ("metric: ttft", "metric: tfft"),
        ("min: 2", 'min: "2"'),
        ("min: 2", "min: -2"),
        ("role: default", "role: gpu"),
        ("    startup:", "    startp:"),
        ("poolwright/v1", "v1"),
        ("30 7 * *", "0 30 7 * *"),
        ("{kubernetes: {kind", "{simulated: {}, kubernetes: {kind"),
        ("price: 90 USD/h", "price:"),
        ("service: chat-70b\n", ""),
    ],
)
def test_what_is_refused_for_its_shape_is_marked_by_an_editor(old: str, new: str) -> None:
    text = CHAT.replace(old, new, 1)
    assert text != CHAT
    assert not loads(text)
    assert not accepts(SCHEMA, parsed(text))


def test_every_default_of_the_schema_is_one_that_could_be_written() -> None:
    seen = 0
    for part in [SCHEMA, *SCHEMA["$defs"].values()]:
        for field in part.get("properties", {}).values():
            if "default" in field:
                seen += 1
                assert accepts(field, field["default"]), field
            assert None not in field.values()
    assert seen > 10


def test_an_editor_has_something_to_say_of_every_quantity() -> None:
    for part in SCHEMA["$defs"].values():
        for field in part.get("properties", {}).values():
            if field.get("title") in ("Duration", "Price", "Percentage", "Amount of replicas"):
                assert field["examples"]
                assert all(accepts(field, example) for example in field["examples"])


def _refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [ref for value in part.values() for ref in _refs(value)]
    return [ref for value in part for ref in _refs(value)] if isinstance(part, list) else []


def test_the_schema_is_json_with_the_keys_as_written() -> None:
    made = json.loads(json.dumps(schema(), allow_nan=False))
    file = made["$defs"]["RuleFile"]
    assert file["required"] == ["apiVersion", "service", "pools"]
    assert file["additionalProperties"] is False
    assert {"when", "for", "keep", "add"} <= made["$defs"]["TriggerShape"]["properties"].keys()
    assert "class" in made["$defs"]["SignalShape"]["properties"]
    assert {ref.removeprefix("#/$defs/") for ref in _refs(made)} <= made["$defs"].keys()
