"""What is shown for ways to break the first example: each says where, what, and what to write."""

from pathlib import Path

import pytest
from tests.unit.broken_rules import EXAMPLE, Break, assert_told, problems_of

from poolwright.rulefiles import load

PROVIDER = "{kubernetes: {kind: Deployment, namespace: inference, name: chat-70b-h100}}"
BREAKS: dict[str, Break] = {
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
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_of_the_example_is_told_in_words(name: str, tmp_path: Path) -> None:
    assert_told(BREAKS[name], tmp_path / "r.yaml")


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
