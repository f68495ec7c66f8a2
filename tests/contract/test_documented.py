"""The pages of docs agree with what providers say of themselves."""

import inspect
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.contract.documented import PAGE, TOKEN, Acme, code, shown
from tests.contract.harness import rule
from tests.contract.simulated_plant import served

from poolwright.actuation import provider
from poolwright.actuation.provider import CallError, Level, Unauthorised
from poolwright.actuation.registry import installed, targets
from poolwright.errors import SettingsError
from poolwright.record.sentences import CAUSES
from poolwright.redaction import _VARIABLE
from poolwright.settings import Settings

PAGES = PAGE.parent / "providers"
LONGEST_EXAMPLE = 65
ACTION = re.compile(r"\b[a-z-]+:[A-Z]\w+|\bcompute\.[\w.]*\w|Microsoft\.[\w/]+")
"""A permission that is a word of the API, such as `autoscaling:SetDesiredCapacity`."""
RULE = re.compile(r"([a-z]+(?:, [a-z]+)*) on (\S.*)")
"""A permission as a role of Kubernetes has it: verbs, and on what."""


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("\\|", "|").split())


def page_of(name: str) -> Path:
    """A provider's own page; several of one vendor share that of the first word."""
    own = [PAGES / f"{stem}.md" for stem in (name, re.split("[_-]", name)[0])]
    return next((page for page in own if page.exists()), PAGE if name == "simulated" else own[-1])


@pytest.mark.parametrize("name", installed())
def test_the_overview_lists_each_installed_provider_as_it_is(name) -> None:
    needs = targets()[name].needs
    (row,) = [x for x in PAGE.read_text().splitlines() if x.startswith(f"| [{name}](")]
    link = re.search(r"\]\(([^)]*)\)", row)[1]
    _, _, extra, chooses, _ = [cell.strip() for cell in row.strip("|").split("|")]
    assert extra == ("" if needs.extra is None else f"`{needs.extra}`")
    assert (chooses == "no") is not needs.chooses
    if link.startswith("#"):
        assert f"\n## {link[1:]}\n" in PAGE.read_text()
    else:
        assert (PAGE.parent / link).exists()


@pytest.mark.parametrize("name", installed())
def test_the_least_permissions_stand_on_the_providers_page(name) -> None:
    page = page_of(name)
    text = plain(page.read_text())
    granted = role(page)
    for permission in targets()[name].needs.permissions:
        what = plain(permission.partition(": ")[0])
        if (rule := RULE.fullmatch(what)) is not None and granted:
            for resource in rule[2].split(", "):
                assert set(rule[1].split(", ")) <= granted[resource], permission
        elif actions := ACTION.findall(what):
            for action in actions:
                assert action in text, permission
        else:
            assert what in text, permission


def test_the_policies_to_paste_grant_no_more_than_that() -> None:
    needed = [p for target in targets().values() for p in target.needs.permissions]
    for page in PAGES.glob("*.md"):
        blocks = re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL)
        for action in re.findall(r'"([a-z-]+:[A-Z]\w+|Microsoft\.[\w/]+)"', "".join(blocks)):
            assert any(action in permission for permission in needed), f"{page}: {action}"
        for resource, verbs in role(page).items():
            rules = [RULE.fullmatch(plain(p.partition(": ")[0])) for p in needed]
            told = {v for r in rules if r and resource in r[2] for v in r[1].split(", ")}
            assert verbs <= told, f"{page}: {resource}"


def role(page: Path) -> dict[str, set[str]]:
    """By resource the verbs that the page's role of Kubernetes grants."""
    granted: dict[str, set[str]] = {}
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    for block in (block for block in blocks if "kind: Role\n" in block):
        for document in YAML(typ="safe").load_all(block):
            if isinstance(document, dict) and document.get("kind") == "Role":
                for rule in document["rules"]:
                    for resource in rule["resources"]:
                        named = resource.replace("deployments", "<kind>")
                        named = "the kind" if named == "<kind>" else named
                        granted.setdefault(named, set()).update(rule["verbs"])
    return granted


def test_each_kind_of_error_and_each_cause_is_explained() -> None:
    text = PAGE.read_text()
    errors = [x for _, x in inspect.getmembers(provider, inspect.isclass)]
    kinds = {x.kind for x in errors if issubclass(x, CallError) and x is not CallError}
    assert "invalid" in kinds
    for kind in kinds:
        assert f"\n| `{kind}` |" in text
    for cause in CAUSES:
        assert f"`{cause}`" in text


def test_each_name_of_a_variable_that_is_hidden_is_told() -> None:
    told = re.search(r"names end in (.*?), passwords", PAGE.read_text(), re.DOTALL)[1]
    for ending in re.findall(r"`(\w+)`", told):
        assert _VARIABLE.search(f"SOME_{ending}")


def test_the_example_is_small() -> None:
    assert len(code().splitlines()) < LONGEST_EXAMPLE


async def test_the_example_finds_what_is_not_allowed_and_hides_its_token(monkeypatch) -> None:
    monkeypatch.setenv("ACME_TOKEN", TOKEN)
    async with served(Acme(permissions=()).app()) as url:
        monkeypatch.setenv("ACME_URL", url)
        made = shown().AcmeProvider(rule("acme", {"fleet": "chat"}), Settings())
        assert [finding.level for finding in await made.inspect()] == [Level.PROBLEM]
        # The API echoes what it refuses.
        made._client.headers["authorization"] = f"Token {TOKEN}"
        with pytest.raises(Unauthorised, match=r"Token \*\*\*") as caught:
            await made.read()
        await made.close()
    assert TOKEN not in str(caught.value)


def test_the_example_says_what_is_missing(monkeypatch) -> None:
    monkeypatch.delenv("ACME_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="ACME_TOKEN is not set"):
        shown().AcmeProvider(rule("acme", {"fleet": "chat"}), Settings())
