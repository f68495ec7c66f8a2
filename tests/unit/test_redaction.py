"""Secrets are hidden in whatever form they come, and nothing else is."""

import base64
import json
import logging
from urllib.parse import quote, quote_plus

import pytest

from poolwright.actuation.answers import SHOWN, meaning
from poolwright.actuation.provider import Throttled
from poolwright.cli import main
from poolwright.cli.logs import FORMAT, RedactingFormatter
from poolwright.errors import SettingsError
from poolwright.redaction import KEPT, Redaction, never_show, quoted, secrets_in, without_secrets

SECRET = 'pa55 wörd+/="x\\'


@pytest.fixture
def hide():
    redaction = Redaction()
    redaction.never_show(SECRET)
    return redaction.without_secrets


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET),
        repr(SECRET),
        repr({"a": SECRET}),
    ],
)
def test_a_secret_is_hidden_in_each_of_its_forms(hide, form) -> None:
    hidden = hide(f"before {form} after")
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert "***" in hidden
    assert "pa55" not in hidden


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("after", ["", "!", "\n"])
def test_it_is_hidden_in_the_middle_of_base64(hide, user, encode, after) -> None:
    encoded = encode(f"{user}{SECRET}{after}".encode()).decode()
    hidden = hide(f"sent {encoded}")
    assert "***" in hidden
    # At most the digits that it shares with its neighbours are left.
    assert len(hidden.removeprefix("sent ").replace("***", "")) <= len(user) * 4 / 3 + 8


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://me:hush@host:1/x", "GET http://***@host:1/x"),
        ("at https://token@host/x?mail=a@b", "at https://***@host/x?mail=a@b"),
        ("Authorization: Basic aHVzaA==", "Authorization: ***"),
        ("authorization=Token abc, next=1", "authorization=***, next=1"),
        ("{'Authorization': 'Bearer hush'}", "{'Authorization': '***'}"),
        ("[(b'authorization', b'Bearer hush')]", "[(b'authorization', b'***')]"),
        ("the token Bearer hush1234 is bad", "the token Bearer *** is bad"),
        ('["Basic bWU6aHVzaDEyMzQ="]', '["Basic ***"]'),
        ("assertion=eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln&a=b", "assertion=***&a=b"),
    ],
)
def test_what_its_place_gives_away_need_not_be_told(text, shown) -> None:
    assert Redaction().without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "bearer authentication is needed, or basic authentication",
        "no authorization for this call",
        "see https://host/x?mail=a@b or write to ops@example.org",
        "pods is forbidden: User system:serviceaccount:poolwright:default cannot get",
    ],
)
def test_the_rest_stays_as_it_is(hide, text) -> None:
    assert hide(text) == text


def test_what_is_cut_is_hidden_before() -> None:
    never_show("cut-in-the-middle")
    for longest in range(5, 40):
        assert "cut" not in quoted("say cut-in-the-middle, please", longest)
    error = meaning(401, "x" * (SHOWN - 5) + "cut-in-the-middle", headers={}, now=0.0)
    assert "cut" not in str(error)


def test_what_is_short_or_empty_hides_nothing() -> None:
    redaction = Redaction()
    redaction.never_show("", "1", "true", " \n ")
    assert redaction.without_secrets("1 true 2") == "1 true 2"


def test_of_several_lines_each_is_hidden() -> None:
    redaction = Redaction()
    redaction.never_show("-----BEGIN KEY-----\nMIIEvQIBADANBg\n")
    assert redaction.without_secrets("key MIIEvQIBADANBg") == "key ***"


def test_the_newest_are_kept() -> None:
    redaction = Redaction()
    for number in range(KEPT + 1):
        redaction.never_show(f"secret-{number:04}")
    assert redaction.without_secrets("secret-0000") == "secret-0000"
    assert redaction.without_secrets(f"secret-{KEPT:04}") == "***"


def test_variables_whose_names_say_so_are_secrets() -> None:
    found = secrets_in(
        {
            "AWS_SECRET_ACCESS_KEY": "key-1",
            "AWS_ACCESS_KEY_ID": "AKIA",
            "POOLWRIGHT_KAFKA__SASL_PASSWORD": "key-2",
            "wse_api_key": "key-3",
            "POOLWRIGHT_KAFKA__KEY_FILE": "/etc/key",
            "GOOGLE_APPLICATION_CREDENTIALS": "/etc/google.json",
            "POOLWRIGHT_HISTORY__PROMETHEUS_URL": "http://me:key%2F4@host",
            "NO_URL": "http://[@",
        }
    )
    assert set(found) == {"key-1", "key-2", "key-3", "key%2F4", "key/4"}


def test_a_fault_ends_a_command_without_them(monkeypatch, capsys) -> None:
    def fail() -> None:
        never_show("of-a-fault-alone")
        raise ValueError("held" + " of-a-fault-" + "alone")

    monkeypatch.setattr("poolwright.cli.commands.app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("ValueError: held ***\n")


def test_errors_are_made_without_them_and_logs_written_without_them() -> None:
    never_show("of-this-test-alone")
    throttled = Throttled("said of-this-test-alone", retry_after_s=3.0)
    assert (str(throttled), throttled.retry_after_s) == ("said ***", 3.0)
    assert "alone" not in repr(SettingsError("is of-this-test-alone"))
    try:
        int("of-this-test-alone")
    except ValueError as error:
        fault = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("x", 40, "", 0, "%s", ("of-this-test-alone",), fault)
    line = RedactingFormatter(FORMAT).format(record)
    assert line.startswith("ERROR x: ***\nTraceback")
    assert "ValueError: invalid literal" in line
    # The source line of the traceback is shown as it stands, and is masked alike.
    assert "of-this-test-alone" not in line
    assert without_secrets("nothing to hide") == "nothing to hide"
