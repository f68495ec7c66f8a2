"""The pages of docs agree with what providers say of themselves."""

import inspect
import re
from pathlib import Path

import pytest
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
LONGEST_EXAMPLE = 60
ACTION = re.compile(r"[A-Za-z-]+[:./][A-Za-z/.*]+")
"""A permission that is one word of the API, such as `autoscaling:SetDesiredCapacity`."""


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("\\|", "|").split())


def page_of(name: str) -> Path | None:
    """A provider's own page; several of one vendor may share that of the first word."""
    for stem in (name, re.split("[_-]", name)[0]):
        if (page := PAGES / f"{stem}.md").exists():
            return page
    return None


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
    needs = targets()[name].needs
    page = page_of(name)
    text = plain((PAGE if page is None else page).read_text())
    for permission in needs.permissions:
        what = plain(permission.partition(": ")[0])
        first = what.split()[0]
        wanted = first if ACTION.fullmatch(first) else what
        assert wanted in text, f"{page}: {permission}"


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
