"""A folder of rule files: what of it is read, and what its files may not both say."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poolwright.cli.commands import app
from poolwright.errors import RuleFileError
from poolwright.rulefiles import load, load_sources

RULES = """\
apiVersion: poolwright/v1
service: {service}
pools:
  - name: {service}-main
    provider: {{simulated: {{}}}}
    replicas: {{min: 1, max: 3}}
triggers:
  - {{name: dawn, schedule: {{start: "0 5 * * *", lasts: 2h, min: 2}}}}
"""
TEST = """\
rules: ../{file}
service: chat
start: {{chat-main: {{ready: 1}}}}
steps: [{{at: 1s, expect: {{chat-main: {{desired: {desired}}}}}}}]
"""


def rules(service: str) -> str:
    return RULES.format(service=service)


def problems_of(sources: dict[str, str]) -> list[str]:
    with pytest.raises(RuleFileError) as caught:
        load_sources(sources)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", ["code.yaml", "code.yml", "code.YML"])
def test_either_usual_name_of_yaml_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(rules("chat"))
    (tmp_path / name).write_text(rules("code"))
    assert {service.service for service in load(tmp_path).services} == {"chat", "code"}
    (tmp_path / name).write_text(rules("code").replace("max: 3", "max: 0"))
    with pytest.raises(RuleFileError, match=f"{name}:6:21: min 1 is above max 0"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", [".chat.yml.swp", ".#chat.yml", "#chat.yml#", "chat.yml~", "~chat.yml", "notes.md"]
)
def test_what_editors_leave_is_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "chat.yml").write_text(rules("chat"))
    (tmp_path / name).write_text("not: [rules")
    assert [service.service for service in load(tmp_path).services] == ["chat"]


def test_a_rule_file_under_both_names_is_one_too_many(tmp_path: Path) -> None:
    for name in ("chat.yaml", "chat.yml"):
        (tmp_path / name).write_text(rules("chat"))
    with pytest.raises(RuleFileError, match="duplicate service `chat`"):
        load(tmp_path)


def test_a_link_that_leads_nowhere_is_told_and_takes_no_service_away(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(rules("chat"))
    (tmp_path / "code.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(RuleFileError, match=r"code\.yaml:1:1: cannot be read: no such file"):
        load(tmp_path)


def test_rule_tests_are_read_by_either_name(tmp_path: Path) -> None:
    (tmp_path / "chat.yml").write_text(rules("chat"))
    (tmp_path / "tests").mkdir()
    for name, desired in (("good.yaml", 1), ("bad.yml", 3)):
        text = TEST.format(file="chat.yml", desired=desired)
        (tmp_path / "tests" / name).write_text(text)
    ran = CliRunner().invoke(app, ["test", str(tmp_path / "tests")])
    assert ran.exit_code == 1
    assert "expected desired 3, got 1" in ran.stdout
    assert ran.stdout.replace("\n", "").count(str(tmp_path / "tests")) == 2


def test_a_folder_without_rules_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="no rule file here"):
        load(tmp_path)
    with pytest.raises(RuleFileError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_all_mistakes_of_all_files_are_shown_and_a_service_has_one_file() -> None:
    code = rules("code").replace("min: 1,", "min: 25,")
    found = problems_of(
        {
            "a.yaml": rules("chat"),
            "b.yaml": rules("chat").replace("chat-main", "b"),
            "c.yaml": code,
            "d.yaml": "",
        }
    )
    assert found == [
        "b.yaml:2:10: duplicate service `chat` (also at a.yaml:2:10; one file each)",
        "c.yaml:6:21: min 25 is above max 3 (lower min or raise max)",
        (
            "d.yaml:1:1: the file is empty (begin with apiVersion: poolwright/v1,"
            " then service: and pools:; see docs/rules.md)"
        ),
    ]


def test_a_pool_belongs_to_one_service_only() -> None:
    """Two services' pools of one name would share a provider, a memory and a place in `explain`."""
    code = rules("code").replace("code-main", "chat-main")
    assert problems_of({"chat.yaml": rules("chat"), "code.yaml": code}) == [
        (
            "code.yaml:4:11: duplicate pool `chat-main` (also at chat.yaml:4:11;"
            " pools of all services are known by name: rename one)"
        )
    ]


def test_what_follows_from_another_mistake_is_no_duplicate_pool() -> None:
    twice = {"a.yaml": rules("chat"), "b.yaml": rules("chat")}
    assert [problem.split(" (")[0] for problem in problems_of(twice)] == [
        "b.yaml:2:10: duplicate service `chat`"
    ]
    unnamed = {
        f"{service}.yaml": rules(service).replace("- name:", "- nom:")
        for service in ("chat", "code")
    }
    assert not [problem for problem in problems_of(unnamed) if "duplicate" in problem]
