"""How `poolwright check` shows what is wrong, to people and to machines."""

import json
from pathlib import Path

from tests.unit.broken_rules import EXAMPLE, RULES
from typer.testing import CliRunner

from poolwright.cli.commands import app
from poolwright.errors import Problem
from poolwright.rulefiles.excerpts import excerpt


def test_the_excerpt_points_at_the_place_even_in_a_long_line() -> None:
    problem = Problem("r.yaml", 1, 6, "bad", "mend it")
    assert excerpt(problem, ["min: 25"]) == "r.yaml:1:6: bad (mend it)\n    min: 25\n         ^"
    long = "x" * 200 + "!" + "y" * 200
    _, line, caret = excerpt(Problem("r.yaml", 1, 201, "bad"), [long]).split("\n")
    assert line[caret.index("^")] == "!"
    assert len(line) < 110
    assert excerpt(Problem("r.yaml", 1, 2, "bad"), ["\tx"]).split("\n")[1:] == ["     x", "     ^"]
    assert excerpt(Problem("r.yaml", 9, 1, "bad"), ["a"]) == "r.yaml:9:1: bad"


def test_check_for_people_and_for_machines(tmp_path: Path) -> None:
    run = CliRunner(env={"POOLWRIGHT_APIS": str(RULES / "apis")})
    good = run.invoke(app, ["check", str(RULES)])
    assert (good.exit_code, good.stdout[:14]) == (0, "ok: 2 service(")
    assert json.loads(run.invoke(app, ["check", "--json", str(RULES)]).stdout) == []
    file = tmp_path / "r.yaml"
    file.write_text(EXAMPLE.replace("min: 2,", "min: 25,"))
    bad = run.invoke(app, ["check", str(file)])
    assert bad.exit_code == 1
    assert bad.stdout == ""
    assert bad.stderr == (
        f"{file}:11:21: min 25 is above max 24 (lower min or raise max)\n"
        "        replicas: {min: 25, max: 24}\n"
        "                        ^\n"
        "1 problem; nothing of it is loaded\n"
    )
    machine = run.invoke(app, ["check", "--json", str(file)])
    assert machine.exit_code == 1
    assert json.loads(machine.stdout) == [
        {
            "file": str(file),
            "line": 11,
            "column": 21,
            "message": "min 25 is above max 24",
            "hint": "lower min or raise max",
        }
    ]
