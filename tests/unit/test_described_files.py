"""Described files are checked like rule files, and pools against them."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from tests.unit.broken_apis import API, WRONG
from typer.testing import CliRunner

from poolwright.actuation.described.shapes import Api
from poolwright.actuation.registry import targets
from poolwright.cli.commands import app
from poolwright.errors import RuleFileError
from poolwright.rulefiles import load, load_sources, schema_of

APIS = Path(__file__).parents[2] / "rules" / "apis"
SCHEMA = json.loads((APIS / "schema.json").read_text())
EXAMPLES = sorted(APIS.glob("*.yaml"))

RULES = """\
apiVersion: poolwright/v1
service: chat
pools:
  - name: main
    provider:
      http: {target}
    replicas: {{min: 1, max: 3}}
"""
GOOD = "{ref: racks, rack: r7}"


def problems(api: str, target: str = GOOD, file: str = "racks.yaml") -> list[str]:
    rules = {"r.yaml": RULES.format(target=target)}
    try:
        load_sources(rules, providers=targets(), described={file: api})
    except RuleFileError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_pool_that_says_what_its_file_asks_for_is_good():
    assert problems(API) == []
    assert problems(API, "{ref: racks, rack: r7, site: berlin}") == []
    assert problems(API, file="elsewhere/racks.yml") == []


@pytest.mark.parametrize(
    ("target", "place", "message", "hint"),
    [
        (
            "{ref: rack, rack: r7}",
            "6:19",
            "no file describes an API `rack`",
            "did you mean `racks`?",
        ),
        ("{ref: wse, rack: r7}", "6:19", "no file describes an API `wse`", "known: racks"),
        ("{rack: r7}", "6:13", "`ref` is missing", "add ref: …"),
        ("{ref: 7, rack: r7}", "6:19", "`7` is not text", "put it in quotes: '7'"),
        (
            "{ref: ../x, rack: r7}",
            "6:19",
            "`../x` cannot be a name",
            "use letters, digits, `.`, `_` and `-`; begin with a letter or digit",
        ),
        ("{ref: racks}", "6:13", "`rack` is missing", "add rack: …"),
        ("{ref: racks, rak: r7}", "6:26", "unknown key `rak`", "did you mean `rack`?"),
        ("{ref: racks, rack: r7, zone: a}", "6:36", "unknown key `zone`", "known: rack, ref, site"),
        ("{ref: racks, rack: 7}", "6:32", "`7` is not text", "put it in quotes: '7'"),
        (
            "{ref: racks, rack: ..}",
            "6:32",
            "`..` would change the address's path",
            "write another value",
        ),
        ("{ref: racks, rack: }", "6:26", "`rack` is empty", "write its value, or delete the line"),
    ],
)
def test_what_a_pool_says_wrongly_is_told_once_at_its_place(target, place, message, hint):
    assert problems(API, target) == [f"r.yaml:{place}: {message} ({hint})"]


def test_no_file_at_all_is_told_by_where_to_write_it(tmp_path):
    (tmp_path / "r.yaml").write_text(RULES.format(target=GOOD))
    with pytest.raises(RuleFileError, match=r"`racks` \(add apis/racks\.yaml\)"):
        load(tmp_path, providers=targets())


# --- the file itself -----------------------------------------------------------------------


@pytest.mark.parametrize("what", WRONG)
def test_what_a_file_says_wrongly_is_told_once_at_its_place(what):
    old, new, place, message, hint = WRONG[what]
    assert old in API
    assert problems(API.replace(old, new, 1)) == [f"racks.yaml:{place}: {message} ({hint})"]


def test_a_parameter_has_a_name_of_its_own():
    hint = "use small letters, digits and _, and none of count, key, ref"
    for name in ("key", "ref", "Rack"):
        wrong = API.replace("  rack: {}", f"  rack: {{}}\n  {name}: {{}}")
        found = [problem for problem in problems(wrong) if "cannot be called" in problem]
        (told,) = found
        assert told.startswith("racks.yaml:6:")
        assert told.endswith(f"a parameter cannot be called `{name}` ({hint})")


HMAC = """\
auth:
  hmac:
    key: {env: KEY}
    signs: [method, timestamp]
    headers: {X-S: "{signature}", X-T: "{timestamp}"}
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "hint"),
    [
        (
            "method,",
            "methd,",
            "10:13",
            "`entry 1 of signs` cannot be `methd`",
            "did you mean `method`?",
        ),
        (
            '"{signature}"',
            '"{sig}"',
            "11:14",
            "no header carries the signature",
            "add one: X-Signature: '{signature}'",
        ),
        (
            ', X-T: "{timestamp}"',
            "",
            "10:12",
            "the signed timestamp is in no header",
            "add one: X-Timestamp: '{timestamp}'",
        ),
        ("method,", "key_id,", "9:5", "`key_id` is not said", "add key_id: {env: NAME}"),
        (
            "X-T: ",
            "X-U: '{user}', X-T: ",
            "11:40",
            "nothing fills `{user}`",
            "declare it: parameters: {user: {}}",
        ),
    ],
)
def test_mistakes_of_signing(old, new, place, message, hint):
    assert old in HMAC
    api = API.replace("auth: {bearer: {env: TOKEN}}\n", HMAC.replace(old, new))
    assert problems(api) == [f"racks.yaml:{place}: {message} ({hint})"]


def test_every_mistake_is_told_in_one_pass():
    wrong = API.replace("/up", "up").replace("no_capacity", "full").replace("kind: Api", "kind: X")
    assert [problem.partition(": ")[0] for problem in problems(wrong)] == [
        "racks.yaml:2:7",
        "racks.yaml:11:10",
        "racks.yaml:16:53",
    ]


@pytest.mark.parametrize("text", ["", "- a", "just text", "a: [", "a: 1\na: 2"])
def test_what_is_no_described_file_is_told(text):
    (told,) = [p for p in problems(text) if "duplicate" in p or ":1:" in p][:1]
    assert told.startswith("racks.yaml:")
    assert "service" not in told


def test_two_files_of_one_name_are_told():
    rules = {"r.yaml": RULES.format(target=GOOD)}
    with pytest.raises(RuleFileError, match=r"racks\.yml:1:1: another file describes `racks`, too"):
        load_sources(rules, providers=targets(), described={"racks.yaml": API, "racks.yml": API})


def test_a_wrong_file_is_told_though_no_pool_refers_to_it(tmp_path):
    (tmp_path / "apis").mkdir()
    (tmp_path / "r.yaml").write_text(
        RULES.format(target=GOOD).replace("http: ", "simulated: {} # ")
    )
    (tmp_path / "apis" / "racks.yaml").write_text(API.replace("/up", "up"))
    with pytest.raises(RuleFileError, match=r"apis/racks\.yaml:11:10: `up` is no JSON pointer"):
        load(tmp_path, providers=targets())
    assert load(tmp_path).services


def test_the_folder_may_be_another_but_must_be_there(tmp_path):
    (tmp_path / "r.yaml").write_text(RULES.format(target=GOOD))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "racks.yaml").write_text(API)
    assert load(tmp_path / "r.yaml", providers=targets(), apis=tmp_path / "a").services
    with pytest.raises(RuleFileError, match="no folder of described APIs"):
        load(tmp_path, providers=targets(), apis=tmp_path / "b")


def test_a_described_file_is_no_part_of_the_revision():
    rules = {"r.yaml": RULES.format(target=GOOD)}
    with_it = load_sources(rules, providers=targets(), described={"racks.yaml": API})
    assert with_it.revision == load_sources(rules).revision
    assert with_it.sources == rules


SECOND = """\
  - name: other
    provider:
      http: {ref: racks, rack: r8, site: paris}
    replicas: {min: 1, max: 3}
"""


def test_two_pools_on_the_same_thing_are_refused():
    target = "{ref: racks, rack: r7, site: paris}"
    rules = RULES.format(target=target) + SECOND
    described = {"racks.yaml": API}
    assert load_sources({"r.yaml": rules}, providers=targets(), described=described).services
    with pytest.raises(RuleFileError, match="the same target as that of pool `main`"):
        load_sources(
            {"r.yaml": rules.replace("r8", "r7")}, providers=targets(), described=described
        )


def test_a_secret_that_was_written_is_not_in_the_error():
    for wrong in (API.replace("{env: TOKEN}", "pa55word-of-the-file"),
                  API.replace("https://api", "https://me:pa55word-of-the-file@api")):  # fmt: skip
        assert "pa55word" not in "\n".join(problems(wrong))


def test_a_secret_that_was_written_is_not_in_the_excerpt_either(tmp_path):
    (tmp_path / "apis").mkdir()
    (tmp_path / "r.yaml").write_text(RULES.format(target=GOOD))
    wrong = API.replace("{env: TOKEN}", "pa55word-of-the-file")
    (tmp_path / "apis" / "racks.yaml").write_text(wrong)
    told = CliRunner().invoke(app, ["check", str(tmp_path)]).output
    assert "auth: {bearer: ***}\n" in told
    assert "pa55word" not in told


# --- commands and schema -------------------------------------------------------------------


def test_check_tells_mistakes_of_described_files(tmp_path, monkeypatch):
    monkeypatch.delenv("POOLWRIGHT_APIS", raising=False)
    (tmp_path / "apis").mkdir()
    (tmp_path / "r.yaml").write_text(RULES.format(target=GOOD))
    (tmp_path / "apis" / "racks.yaml").write_text(API)
    assert CliRunner().invoke(app, ["check", str(tmp_path)]).exit_code == 0
    (tmp_path / "apis" / "racks.yaml").write_text(API.replace("desired:", "desird:"))
    told = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert told.exit_code == 1
    assert "apis/racks.yaml:10:3: unknown key `desird` (did you mean `desired`?)" in told.output


def test_the_schema_is_current():
    assert schema_of(Api) == SCHEMA, "poolwright schema --apis > rules/apis/schema.json"
    printed = CliRunner().invoke(app, ["schema", "--apis"])
    assert json.loads(printed.output) == SCHEMA


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_load_and_fit_the_schema(path):
    jsonschema.validate(YAML(typ="safe").load(path.read_text()), SCHEMA)
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    rules = {"r.yaml": RULES.format(target=GOOD)}
    load_sources(
        rules, providers=targets(), described={str(path): path.read_text(), "racks.yaml": API}
    )


def test_the_schema_refuses_what_does_not_load():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    good = YAML(typ="safe").load(API)
    jsonschema.validate(good, SCHEMA)
    for change in ({"read": {"url": "/"}}, {"more": 1}, {"kind": "X"}, {"auth": {"bearer": "x"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **change}, SCHEMA)
