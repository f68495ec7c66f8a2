"""The parts of a described API: pointers, places, signatures."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from poolwright.actuation.described import pointers
from poolwright.actuation.described.credentials import Outgoing, signed
from poolwright.actuation.described.shapes import Api, Hmac
from poolwright.actuation.described.templates import in_json, in_pointer, in_url, places
from poolwright.actuation.provider import Unauthorised
from poolwright.actuation.target import TargetError

PAGE = (Path(__file__).parents[2] / "docs" / "providers" / "http.md").read_text()
# The example of RFC 6901, section 5.
RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6,
       " ": 7, "m~n": 8}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2),
     ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8)],
)  # fmt: skip
def test_a_pointer_finds_what_the_rfc_says(pointer, value):
    assert pointers.find(pointers.checked(pointer), RFC) == value


@pytest.mark.parametrize(
    "pointer",
    ["/bar", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/0/0", "/foo/x", "//", "/ /0"],
)
def test_a_pointer_that_leads_to_nothing_finds_nothing(pointer):
    with pytest.raises(LookupError):
        pointers.find(pointer, RFC)
    assert pointers.found(pointer, RFC) is None


@pytest.mark.parametrize("text", ["foo", "#/foo", "/a~", "/a~2b", "$.foo"])
def test_what_is_no_pointer_is_told(text):
    with pytest.raises(TargetError):
        pointers.checked(text)


@given(st.dictionaries(st.text(), st.integers(), min_size=1))
def test_any_key_can_be_a_parameter_of_a_pointer(value):
    for key, number in value.items():
        pointer = pointers.checked(in_pointer("/{key}", {"key": key}))
        assert pointers.find(pointer, value) == number


def test_places_are_filled_as_their_place_asks_for():
    values = {"a": "x/y ?&=%", "n": 3}
    assert (
        in_url("/p/{a}?q={a}", {"a": "x/y ?&=%"})
        == "/p/x%2Fy%20%3F%26%3D%25?q=x%2Fy%20%3F%26%3D%25"
    )
    template = {"n": "{n}", "t": "{n} of {a}", "l": ["{a}", 1, None, True], "{n}": "a{b"}
    filled = {"n": 3, "t": "3 of x/y ?&=%", "l": ["x/y ?&=%", 1, None, True], "{n}": "a{b"}
    assert in_json(template, values) == filled
    assert list(places({"a": ["{b}", {"c": "{d}{e}"}], "f": 1})) == [
        (("a", 0), "b"),
        (("a", 1, "c"), "d"),
        (("a", 1, "c"), "e"),
    ]


# --- signatures ----------------------------------------------------------------------------


def block(language: str, having: str) -> str:
    """The page's code block of the language with a text in it."""
    blocks = [part.partition("```")[0] for part in PAGE.split(f"```{language}\n")[1:]]
    return next(found for found in blocks if having in found)


def documented() -> Hmac:
    return Hmac.model_validate(YAML(typ="safe").load(block("yaml", "signs:"))["auth"]["hmac"])


ORDER = Outgoing("PUT", "api.test", "/v1/racks/r7/count", "", b'{"count": 3}', "d-42")


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("RACK_KEY", "geheim")
    monkeypatch.setenv("RACK_KEY_ID", "k1")


def test_the_documented_signature_is_that_of_the_provider(keys):
    headers = signed(documented(), ORDER, {}, 1769860800.9)
    told = dict(line.split(": ") for line in block("", "Authorization: HMAC").splitlines() if line)
    assert headers == told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl; apt install openssl")
def test_the_documented_signature_is_that_of_openssl(keys):
    script = block("sh", "openssl")
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    header = signed(documented(), ORDER, {}, 1769860800)["Authorization"]
    assert out.split()[-1] == header.rpartition(":")[2]


def hmac_rule(**more: object) -> Hmac:
    keys = {"key": {"env": "RACK_KEY"}, "headers": {"X-S": "{signature}", "X-T": "{timestamp}"}}
    return Hmac.model_validate({"signs": ["method", "timestamp"], **keys, **more})


# RFC 4231, test cases 1 and 2: the same key and data in all algorithms.
@pytest.mark.parametrize(
    ("algorithm", "begins"),
    [
        ("sha256", "b0344c61d8db3853"),
        ("sha384", "afd03944d8489562"),
        ("sha512", "87aa7cdea5ef619d"),
    ],
)
def test_algorithms_are_those_of_rfc_4231(monkeypatch, algorithm, begins):
    monkeypatch.setenv("RACK_KEY", "0b" * 20)
    rule = hmac_rule(signs=["body"], key_is="hex", algorithm=algorithm)
    order = Outgoing("PUT", "h", "/", "", b"Hi There", "")
    assert signed(rule, order, {}, 0)["X-S"].startswith(begins)


def test_each_part_is_signed_and_may_be_sent(keys):
    parts = ["method", "host", "path", "query", "target", "timestamp", "key_id", "key", "body"]
    order = Outgoing("PUT", "h:8", "/a%20b", "x=1", b"{}", "d")
    rule = hmac_rule(signs=parts, key_id={"env": "RACK_KEY_ID"}, join="|")
    whole = b"PUT|h:8|/a%20b|x=1|/a%20b?x=1|7|k1|d|{}"
    alone = hmac_rule(signs=["body"])
    same = Outgoing("PUT", "h", "/", "", whole, "")
    assert signed(rule, order, {}, 7.9)["X-S"] == signed(alone, same, {}, 0)["X-S"]


@pytest.mark.parametrize(
    ("form", "sent"),
    [("unix", "1769860800"), ("unix_ms", "1769860800250"), ("iso8601", "2026-01-31T12:00:00Z")],
)
def test_timestamps(keys, form, sent):
    assert signed(hmac_rule(timestamp=form), ORDER, {}, 1769860800.25)["X-T"] == sent


def test_base64_of_key_and_signature(monkeypatch):
    monkeypatch.setenv("RACK_KEY", "Z2VoZWlt")
    rule = hmac_rule(key_is="base64", signature_is="base64")
    monkeypatch.setenv("PLAIN", "geheim")
    plain = hmac_rule(key={"env": "PLAIN"})
    one, other = signed(rule, ORDER, {}, 7)["X-S"], signed(plain, ORDER, {}, 7)["X-S"]
    assert one.endswith("=")
    assert len(other) == 64


@pytest.mark.parametrize(("form", "key"), [("hex", "geheim"), ("base64", "not base64!")])
def test_a_key_that_is_not_written_so_is_told_and_not_shown(monkeypatch, form, key):
    monkeypatch.setenv("RACK_KEY", key)
    with pytest.raises(Unauthorised, match=f"not {form}") as caught:
        signed(hmac_rule(key_is=form), ORDER, {}, 0)
    assert key not in str(caught.value)


def test_the_documented_file_is_one():
    from poolwright.actuation.described.mistakes import mistakes

    api = Api.model_validate(YAML(typ="safe").load(block("yaml", "kind: Api")))
    assert list(mistakes(api)) == []
