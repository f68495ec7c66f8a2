"""One pass tells every mistake of a file, whatever its layer, and nothing that merely follows."""

from typing import Any, get_args

import pytest

from poolwright.errors import RuleFileError
from poolwright.rulefiles import load_sources
from poolwright.rulefiles.checks import Names, check
from poolwright.rulefiles.document import Document
from poolwright.rulefiles.shapes import RuleFile, Shape

MANY = """\
apiVersion: poolwright/v1
service: chat
mode: dry-run
classes:
  interactive: {ttft: 2}
pools:
  - name: main
    provider: {simulated: {}}
    replicas: {min: 25, max: 24}
    price: 4.5
    serves: [interactve]
  - name: main
    provider: {simulated: {}}
    replicas: {min: two}
signals:
  waiting: {metric: request_waiting, across: sum, stat: avg, window: 30s}
  running: {metric: requests_running, stat: avg, windw: 30s}
triggers:
  - {name: more, when: "waitng / ready > 8 || running > '9'", add: 50%}
  - {name: fewer, when: "waiting / ready < ", remove: 1}
  - {name: idle, when: waiting < 2, remove: 1, pool: mian}
  - {name: busy, when: waiting > 1, add: 1, pool: main}
  - {name: goal, target: {signal: runing, per_replica: 0}}
  - {name: ramp, schedule: {start: "61 7 * * *", tz: Europe/Pariss, lasts: 4h, min: 8}}
  - {name: ramp, schedule: {start: "30 7 * * *", lasts: 4h}}
  - {name: nothing, when: waiting > 1}
limits:
  down: {step: 0, per: 1m}
  budgt: 400
"""

TOLD = """\
r.yaml:3:7: `mode` cannot be `dry-run` (write act, advise or paused)
r.yaml:5:23: `2` has no unit (write 2s for seconds; or ms, m, h, d)
r.yaml:9:21: min 25 is above max 24 (lower min or raise max)
r.yaml:10:12: `4.5` has no unit (write 4.5 USD/h)
r.yaml:11:14: unknown class `interactve` (did you mean `interactive`?)
r.yaml:12:11: duplicate pool `main` (also at r.yaml:7:11; rename one)
r.yaml:14:15: `max` is missing (add max: …)
r.yaml:14:21: `two` is not a whole number (write a number, such as 4)
r.yaml:16:21: unknown metric `request_waiting` (did you mean `requests_waiting`?)
r.yaml:17:3: `requests_running` needs across (say how the replicas are combined: across: sum)
r.yaml:17:50: unknown key `windw` (did you mean `window`?)
r.yaml:19:25: unknown signal `waitng` (did you mean `waiting`?)
r.yaml:19:55: `>` between a number and text (remove the quotes: signals are numbers)
r.yaml:20:43: the condition ends too early (write what it is compared with)
r.yaml:21:54: unknown pool `mian` (did you mean `main`?)
r.yaml:23:35: unknown signal `runing` (did you mean `running`?)
r.yaml:23:56: `per_replica` must be above 0 (write more than 0)
r.yaml:24:36: `61` is no minute in cron `61 7 * * *` (minute: 0-59, *, lists and steps)
r.yaml:24:54: unknown time zone `Europe/Pariss` (did you mean `Europe/Paris`?)
r.yaml:25:12: duplicate trigger `ramp` (also at r.yaml:24:12; rename one)
r.yaml:25:28: `min` is missing (add min: …)
r.yaml:26:5: a trigger that changes nothing (write one of add, remove, set, such as add: 50%)
r.yaml:28:16: a step of zero never moves (write 1 or more; or use mode: paused)
r.yaml:29:3: unknown key `budgt` (did you mean `budget`?)
r.yaml:29:10: `400` has no unit (write 400 USD/h)
"""

GOOD = """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s}
pools:
  - name: main
    provider: {simulated: {}}
    replicas: {min: 2, max: 24}
    serves: [interactive]
  - name: fast
    role: accelerator
    provider: {simulated: {}}
    replicas: {min: 0, max: 2}
    profile:
      {itl_base: 1ms, itl_per_request: 1ms, prefill_base: 1ms, prefill_per_token: 0s, max_batch: 8}
    advantage: {economic: 15%}
signals:
  waiting: {metric: requests_waiting, across: sum, stat: avg, window: 30s}
  running: {metric: requests_running, across: sum, stat: avg, window: 30s}
  slow: {metric: ttft, class: interactive, stat: p95, window: 1m}
triggers:
  - {name: more, when: waiting / ready > 8 || slow > 2, for: 30s, add: 50%}
  - {name: fewer, when: waiting / ready < 2, remove: 1, pool: main}
  - {name: goal, target: {signal: running, per_replica: 40}}
  - {name: ramp, schedule: {start: "30 7 * * MON-FRI", lasts: 4h, min: 8}}
limits:
  up: {step: 4, per: 15s}
  freeze: [{name: night, start: "0 22 * * *", lasts: 8h}]
"""


def told(text: str) -> list[str]:
    with pytest.raises(RuleFileError) as caught:
        load_sources({"r.yaml": text})
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_of_every_layer_is_told_in_one_pass() -> None:
    assert told(MANY) == TOLD.splitlines()


def test_an_oscillation_is_told_beside_mistakes_of_shape() -> None:
    text = GOOD.replace("ready < 2", "ready < 7")
    first, second = told(text.replace("{ttft: 2s}", "{ttft: 2}"))
    assert "has no unit" in first
    assert "would oscillate between 3 and 2 replicas" in second
    # The target, once mended, may hold what would oscillate: that is not decided yet.
    (only,) = told(text.replace("per_replica: 40", "per_replica: 40.0.0"))
    assert "is not a number" in only


BREAKS = [
    # A section that cannot be read: none of its names is called unknown.
    ("signals:\n", "signals: 5\nx-signals:\n", 2),
    ("classes:\n  interactive: {ttft: 2s}\n", "classes: [interactive]\n", 1),
    ("pools:\n", "pool:\n", 1),
    ("signals:\n", "signal:\n", 1),
    ("classes:\n", "clases:\n", 1),
    ("triggers:\n", "trigers:\n", 1),
    # A broken part keeps its name.
    ("waiting: {metric: requests_waiting, across: sum, stat: avg, window: 30s}", "waiting: 5", 1),
    ("waiting: {metric: requests_waiting, across: sum, stat: avg, window: 30s}", "waiting:", 1),
    ("  - name: main\n    provider: {simulated: {}}\n", "  - name: main\n", 1),
    ("interactive: {ttft: 2s}", "interactive: fast", 1),
    ("replicas: {min: 2, max: 24}", "replicas: many", 1),
    ("- name: main\n", "- nam: main\n", 1),
    ("- name: main\n", "- name: 5\n", 1),
    ("{name: fewer, when", "{when", 1),
    # What is wrong is not missing as well.
    ("role: accelerator", "role: acelerator", 1),
    ("advantage: {economic: 15%}", "advantage: big", 1),
    ("advantage: {economic: 15%}", "advantge: {economic: 15%}", 1),
    ("across: sum", "across: 5", 1),
    ("across: sum", "acros: sum", 1),
    ("add: 50%", "ad: 50%", 1),
    ("add: 50%", "add: lots", 1),
    ("add: 50%", "increase: 50%", 1),
    ("when: waiting / ready < 2", "when: 5", 1),
    ("when: waiting / ready < 2", "whn: waiting / ready < 2", 1),
    ("target: {signal: running, per_replica: 40}", "weather: fine", 1),
    ("target: {signal: running, per_replica: 40}", "target: 40", 1),
    ("schedule: {start:", "schedule: {begin:", 2),
    ("{simulated: {}}", "simulated", 1),
    ("{itl_base: 1ms,", "{", 1),
    ("up: {step: 4, per: 15s}", "up: fast", 1),
    ("freeze: [{name: night, ", "freeze: [{", 1),
    ("service: chat", "service: [chat]", 1),
    ("apiVersion: poolwright/v1\n", "", 1),
    # Names that cannot stand in a condition are told where they are defined only.
    ("slow", "time-to-first", 1),
    ("slow", "in", 1),
    # YAML's own.
    ("{ttft: 2s}", "{<<: {itl: 5ms}}", 1),
    ("service: chat\n", "service: {{ .Values.service }}\n", 1),
    ("{min: 2,", "{min:2,", 1),
]


@pytest.mark.parametrize(("old", "new", "count"), BREAKS)
def test_what_merely_follows_from_a_mistake_is_not_told(old: str, new: str, count: int) -> None:
    assert old in GOOD
    every = old == "slow"
    problems = told(GOOD.replace(old, new, -1 if every else 1))
    assert len(problems) == count, problems


def test_the_file_that_is_broken_here_is_good() -> None:
    assert load_sources({"r.yaml": GOOD}).services[0].service == "chat"


def test_two_files_without_a_service_are_no_duplicates() -> None:
    text = GOOD.replace("service: chat\n", "")
    with pytest.raises(RuleFileError) as caught:
        load_sources({"a.yaml": text, "b.yaml": text})
    assert [problem.message for problem in caught.value.problems] == ["`service` is missing"] * 2


def shapes_of(kind: Any) -> set[type[Shape]]:
    found = {s for part in get_args(kind) for s in shapes_of(part)}
    if isinstance(kind, type) and issubclass(kind, Shape):
        found |= {kind}
        for field in kind.model_fields.values():
            found |= shapes_of(field.annotation)
    return found


@pytest.mark.parametrize("shape", sorted(shapes_of(RuleFile), key=lambda s: s.__name__))
def test_stand_ins_are_all_that_a_shape_requires(shape: type[Shape]) -> None:
    shape.model_validate(shape.stand_ins)
    required = {f.alias or n for n, f in shape.model_fields.items() if f.is_required()}
    assert shape.stand_ins.keys() == required


def test_no_check_complains_of_stand_ins() -> None:
    """But of there being no pool, which the file says itself or was told before."""
    value = {
        **RuleFile.stand_ins,
        "pools": [shape_stand_in("PoolShape")],
        "signals": {"one": shape_stand_in("SignalShape")},
        "limits": {"up": shape_stand_in("DirectionShape")},
    }
    document = Document("r.yaml", value=value)
    check(document, RuleFile.model_validate(value), Names.of(document), None)
    assert document.problems == []


def shape_stand_in(name: str) -> dict[str, Any]:
    (shape,) = (s for s in shapes_of(RuleFile) if s.__name__ == name)
    return dict(shape.stand_ins)
