"""What is shown for ways to break the first example: each says where, what, and what to write."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poolwright.actuation.registry import targets
from poolwright.cli.commands import app
from poolwright.errors import Problem, RuleFileError
from poolwright.rulefiles import load
from poolwright.rulefiles.excerpts import excerpt

RULES = Path(__file__).parents[2] / "rules"
EXAMPLE = (RULES / "chat-70b.yaml").read_text()
WHEN = '"waiting / ready > 8 || kv > 0.85 || slow > 1.8"'
BLOCK = '{name: queue-pressure, when: "waiting / ready > 8 || kv > 0.85 || slow > 1.8", for: 30s, '
PROVIDER = "{kubernetes: {kind: Deployment, namespace: inference, name: chat-70b-h100}}"

# name: (written instead, where the caret points at, message, hint)
BREAKS = {
    # YAML
    "tab": (
        "    role: default",
        "\trole: default",
        "\trole",
        "a tab",
        "indent with spaces, YAML allows no tabs",
    ),
    "colon": (
        "service: chat-70b",
        "service chat-70b",
        "service",
        "a colon is missing",
        "write `key: value`, with a space",
    ),
    "space after a colon": (
        "price: 27.52",
        "price:27.52",
        "price",
        "a colon is missing",
        "write `key: value`, with a space",
    ),
    "space after a colon in a flow": (
        "{min: 2,",
        "{min:2,",
        "min:2",
        "unknown key `min:2`",
        "put a space after the colon: min: 2",
    ),
    "brace": ("max: 24}", "max: 24", "{min", "`{` is not closed", "close it on its line"),
    "comma": (
        "{min: 2, max",
        "{min: 2 max",
        ": 24",
        "a comma or the end of `{` is missing",
        "write {a: 1, b: 2} or [a, b]",
    ),
    "quote": (
        'slow > 1.8"',
        "slow > 1.8",
        "{name: queue",
        "a quote in this line is not closed",
        "close it with another one",
    ),
    "dash": (
        "  - name: chat-70b-h100",
        "  -name: chat-70b-h100",
        "-name",
        "a dash without a space",
        "write `- name: …`",
    ),
    "indentation": (
        "    role: default",
        "   role: default",
        "role: default",
        "the indentation fits nothing above",
        "align it with spaces with the lines that it belongs to",
    ),
    "second colon": (
        "service: chat-70b",
        "service: chat: 70b",
        ": 70b",
        "a second colon in one line",
        "put text that has `: ` in quotes",
    ),
    "template": (
        "service: chat-70b",
        "service: {{ name }}",
        "{ name",
        "a key must be plain text",
        "put text such as {{ … }} in quotes, or write a name before the colon",
    ),
    "duplicate key": (
        "    startup: 180s",
        "    price: 1 USD/h",
        "price: 1 ",
        "duplicate key `price`",
        "first given in line 12; keep one",
    ),
    "cron without quotes": (
        '"30 7 * * MON-FRI"',
        "* 7 * * *",
        "* 7",
        "text cannot begin with `*`",
        "put the whole text in quotes",
    ),
    "anchor": (
        "{min: 2, max: 24}",
        "*bounds",
        "*bounds",
        "`*bounds` refers to nothing",
        "define it above with &bounds, or put the text in quotes if it is none",
    ),
    "invisible character": (
        "service: chat",
        "service: \x07chat",
        "\x07",
        "an invisible character (U+0007)",
        "delete it and type the text anew",
    ),
    # Shapes
    "unknown key": (
        "    startup:",
        "    startp:",
        "startp",
        "unknown key `startp`",
        "did you mean `startup`?",
    ),
    "text for a number": (
        "min: 2,",
        "min: two,",
        "two",
        "`two` is not a whole number",
        "write a number, such as 4",
    ),
    "number in quotes": (
        "min: 2,",
        'min: "2",',
        '"2"',
        "`2` is not a whole number",
        "remove the quotes",
    ),
    "negative": ("min: 2,", "min: -2,", "-2", "`-2` is too small for `min`", "write 0 or more"),
    "min above max": (
        "min: 2,",
        "min: 25,",
        "25",
        "min 25 is above max 24",
        "lower min or raise max",
    ),
    "empty": (
        "price: 27.52 USD/h",
        "price:",
        "price:",
        "`price` is empty",
        "write its value, or delete the line",
    ),
    "duration": (
        "for: 30s",
        "for: 30",
        "30,",
        "`30` has no unit",
        "write 30s for seconds; or ms, m, h, d",
    ),
    "price": ("27.52 USD/h", "27.52", "27.52", "`27.52` has no unit", "write 27.52 USD/h"),
    "currency": (
        "27.52 USD/h",
        "27.52 EUR/h",
        "27.52 EUR",
        "`27.52 EUR/h` is not a price",
        "write it like 27.52 USD/h",
    ),
    "percentage": ("15%", "0.15", "0.15", "`0.15` has no unit", "write 15%"),
    "percentage above all": (
        "min_utilisation: 60%",
        "min_utilisation: 600%",
        "600%",
        "`600%` is too much for `min_utilisation`",
        "write 100% or less",
    ),
    "amount": ("add: 50%", "add: 0.5", "0.5", "`0.5` is not an amount of replicas", "write 50%"),
    "role": (
        "role: accelerator",
        "role: acelerator",
        "acelerator",
        "`role` cannot be `acelerator`",
        "did you mean `accelerator`?",
    ),
    "version": (
        "poolwright/v1",
        "v2",
        "v2",
        "`apiVersion` cannot be `v2`",
        "write poolwright/v1",
    ),
    "name": (
        "name: chat-70b-wse\n    role",
        "name: chat 70b\n    role",
        "chat 70b",
        "`chat 70b` cannot be a name",
        "use letters, digits, `.`, `_` and `-`; begin with a letter or digit",
    ),
    "list": (
        "serves: [interactive]",
        "serves: interactive",
        "interactive",
        "`serves` must be a list, not `interactive`",
        "begin each entry with `- `",
    ),
    "mapping": (
        "replicas: {min: 2, max: 24}",
        "replicas: 3",
        "3",
        "`replicas` must have keys, not be `3`",
        "write replicas: {min: …, max: …}",
    ),
    "two providers": (
        PROVIDER,
        "{kubernetes: {}, simulated: {}}",
        "{kub",
        "`provider` has 2 entries",
        "keep 1",
    ),
    # Names
    "unknown provider": (
        PROVIDER,
        "{kubernets: {}}",
        "kubernets",
        "unknown provider `kubernets`",
        "did you mean `kubernetes`?",
    ),
    "unknown pool": (
        "add: 50%",
        "add: 50%, pool: chat-70b-h10",
        "chat-70b-h10}",
        "unknown pool `chat-70b-h10`",
        "did you mean `chat-70b-h100`?",
    ),
    "unknown signal": (
        "waiting / ready",
        "waitng / ready",
        "waitng",
        "unknown signal `waitng`",
        "did you mean `waiting`?",
    ),
    "time zone": (
        "Europe/Paris",
        "Europe/Pari",
        "Europe/Pari",
        "unknown time zone `Europe/Pari`",
        "did you mean `Europe/Paris`?",
    ),
    "cron with seconds": (
        '"30 7 * * MON-FRI"',
        '"0 30 7 * * MON-FRI"',
        '"0 30',
        "cron `0 30 7 * * MON-FRI` has 6 fields",
        "write five fields: minute hour day month weekday, without seconds",
    ),
    "cron": (
        "30 7 * *",
        "30 25 * *",
        '"30 25',
        "`25` is no hour in cron `30 25 * * MON-FRI`",
        "hour: 0-23, *, lists and steps",
    ),
    # Conditions
    "word": (" || kv", " or kv", "or kv", "`or` is unknown here", "write ||"),
    "equals": ("kv > 0.85", "kv = 0.85", "= 0.85", "`=` is unknown here", "write =="),
    "sign": ("kv > 0.85", "kv ≥ 0.85", "≥", "`≥` is unknown here", "write >="),
    "unit": (
        "slow > 1.8",
        "slow > 2s",
        's"',
        "a number with the unit `s`",
        "remove `s`: times are in seconds, all else has no unit",
    ),
    "share": (
        "kv > 0.85 ||",
        "kv > 85% ||",
        "% ||",
        "`%` is no share in a condition",
        "write 0.85 for 85%",
    ),
    "text": (
        "kv > 0.85",
        "kv > '0.85'",
        "> '0.85'",
        "`>` between a number and text",
        "remove the quotes: signals are numbers",
    ),
    "chain": (
        "kv > 0.85",
        "0.5 < kv < 0.85",
        "< 0.85",
        "`<` between true or false and a number",
        "compare twice: a > 1 && a < 5",
    ),
    "no comparison": (
        "kv > 0.85",
        "kv",
        "|| kv ||",
        "`||` needs true or false, not a number",
        "compare it, such as with > 0",
    ),
    "bracket": (
        "slow > 1.8",
        "(slow > 1.8",
        '"waiting',
        "a `)` is missing",
        "close every `(`",
    ),
    "end": (
        "slow > 1.8",
        "slow >",
        '", for',
        "the condition ends too early",
        "write what it is compared with",
    ),
    "function": (
        "kv > 0.85",
        "max(kv, slow) > 0.85",
        "max",
        "there is no function `max`",
        "write it with + - * / < > == && || ! ( ) and ? :",
    ),
    "path": (
        "kv > 0.85",
        "kv.p95 > 0.85",
        ".p95",
        "a signal is one number and has no parts",
        "remove the point and what follows: the signal's `stat` chooses the statistic",
    ),
    "in a block": (
        BLOCK + "add: 50%}",
        "name: queue\n    when: |\n      waiting / ready > 8 ||\n      kvv > 0.85\n    add: 4",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
    "in folded lines": (
        BLOCK + "add: 50%}",
        "name: q\n    when: >-\n      kv > 9 ||\n\n      slow > 3 &&\n      kvv > 8\n    add: 4",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
    "in quotes over two lines": (
        BLOCK + "add: 50%}",
        "{name: q, add: 4, when: 'kv > 9 ||\n      kvv > 3'}",
        "kvv",
        "unknown signal `kvv`",
        "did you mean `kv`?",
    ),
}


AFTER = EXAMPLE.count("\n") + 1
"""The line after the example's last."""


def problems_of(file: Path, text: str | bytes) -> tuple[Problem, ...]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RuleFileError) as caught:
        load(file, providers=targets())
    return caught.value.problems


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_of_the_example_is_told_in_words(name: str, tmp_path: Path) -> None:
    old, new, at, message, hint = BREAKS[name]
    assert old in EXAMPLE
    text = EXAMPLE.replace(old, new, 1)
    (problem,) = problems_of(tmp_path / "r.yaml", text)
    assert (problem.message, problem.hint) == (message, hint)
    if name != "bracket":  # What is missing is shown at the end.
        assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith(at)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"", (1, 1), "the file is empty"),
        (b"# nothing\n", (1, 1), "the file is empty"),
        (b"- a\n", (1, 1), "`the file` must have keys, not be a list"),
        ("service: ä\n".encode("latin-1"), (1, 10), "not UTF-8 text"),
        (EXAMPLE.encode("utf-16"), (1, 1), "not UTF-8 text"),
        (
            EXAMPLE.encode() + b"---\na: 1\n",
            (EXAMPLE.count("\n") + 1, 1),
            "a second document begins here",
        ),
    ],
)
def test_a_file_of_another_kind(
    content: bytes, place: tuple[int, int], message: str, tmp_path: Path
) -> None:
    (problem,) = problems_of(tmp_path / "r.yaml", content)
    assert ((problem.line, problem.column), problem.message) == (place, message)
    assert problem.hint


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_editors_on_other_systems_write_is_good_and_moves_no_place(
    newline: str, mark: str, tmp_path: Path
) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes((mark + EXAMPLE).replace("\n", newline).encode())
    assert load(file).services[0].service == "chat-70b"
    text = (mark + EXAMPLE).replace("apiVersion", "apiversion").replace("kv > 0", "kvv > 0")
    first, second = problems_of(file, text.replace("\n", newline))
    assert (first.line, first.column) == (2, 1)
    assert EXAMPLE.splitlines()[second.line - 1][second.column - 1 :].startswith("kv > 0")


def test_anchors_within_a_file_are_good(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        EXAMPLE.replace("{min: 2, max: 24}", "&b {min: 2, max: 24}").replace(
            "{min: 0, max: 2}", "*b"
        )
    )
    assert [pool.max_replicas for pool in load(file).services[0].pools] == [24, 24]


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
    run = CliRunner()
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


def test_a_refused_rule_test_is_shown_alike(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("rules: r.yaml\nservice: chat\nstart: {}\nsteps: [{at: 5}]\n")
    bad = CliRunner().invoke(app, ["test", str(file)])
    assert bad.exit_code == 1
    assert bad.stderr.splitlines()[1:3] == ["    steps: [{at: 5}]", "                 ^"]
