"""What the http provider makes of answers: counts, each error, and nothing guessed."""

import asyncio
import json

import pytest
from tests.contract.harness import rule
from tests.contract.small_api import FILE, Says, provider_of, small_api

from poolwright.actuation.described import connection
from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Invalid,
    Level,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.http import HttpProvider
from poolwright.errors import SettingsError
from poolwright.settings import Settings

REPLICAS = (
    "ready: /ready",
    """replicas:
    {list: /all, state: /state/name, ready: [up, 'on'], starting: [boot], terminating: [drain],
     ignored: [dead]}
 """,
)


def states(*names: object) -> dict[str, object]:
    return {"desired": 3, "all": [{"state": {"name": name}} for name in names]}


# --- counts --------------------------------------------------------------------------------


async def test_what_ready_lacks_is_starting_where_nothing_else_says_so(tmp_path):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says({"desired": 5, "ready": 2})]
        report = await provider.read()
        assert (report.desired, report.ready, report.starting, report.terminating) == (5, 2, 3, 0)


async def test_each_count_has_its_own_pointer(tmp_path):
    change = ("ready: /ready", "ready: /n/0, starting: /n/1, terminating: /a~1b/c~0d")
    async with small_api(tmp_path, "", change) as (provider, api):
        api.says = [Says({"desired": 5, "n": [2, 1], "a/b": {"c~d": 4}})]
        report = await provider.read()
        assert (report.desired, report.ready, report.starting, report.terminating) == (5, 2, 1, 4)


async def test_replicas_are_counted_by_their_states(tmp_path):
    async with small_api(tmp_path, "", REPLICAS) as (provider, api):
        api.says = [Says(states("up", "boot", "on", "drain", "dead", "up")), Says(states())]
        report = await provider.read()
        assert (report.desired, report.ready, report.starting, report.terminating) == (3, 3, 1, 1)
        assert (await provider.read()).ready == 0


@pytest.mark.parametrize("state", ["lost", 7, None, ["up"], {"up": 1}])
async def test_a_state_that_is_not_described_is_no_guess(tmp_path, state):
    async with small_api(tmp_path, "", REPLICAS) as (provider, api):
        api.says = [Says(states("up", state))]
        with pytest.raises(Unreachable, match=r"'/all/1/state/name', which no list .* names"):
            await provider.read()


@pytest.mark.parametrize("body", [{"desired": 3}, {"desired": 3, "all": {"a": "up"}}])
async def test_no_list_of_replicas_is_no_empty_one(tmp_path, body):
    async with small_api(tmp_path, "", REPLICAS) as (provider, api):
        api.says = [Says(body)]
        with pytest.raises(Unreachable, match="no list at '/all'"):
            await provider.read()


@pytest.mark.parametrize("count", [None, "3", 2.0, -1, True, [], {}, 1e3])
async def test_what_is_no_count_is_never_zero_and_its_pointer_is_told(tmp_path, count):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says({"desired": 3, "ready": count})]
        with pytest.raises(Unreachable, match="no count at '/ready' but"):
            await provider.read()


@pytest.mark.parametrize(
    "body", [{"desired": 3}, {"Ready": 1, "desired": 3}, {"desired": 3, "ready ": 0}]
)
async def test_a_pointer_that_leads_to_nothing_is_told(tmp_path, body):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says(body)]
        with pytest.raises(Unreachable, match="nothing at '/ready'"):
            await provider.read()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"desired": 3', b"[" * 200_000, b'{"desired": NaN, "ready": 1}']
)
async def test_an_answer_that_is_no_json_is_unreachable(tmp_path, body):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says(body)]
        with pytest.raises(Unreachable):
            await provider.read()


@pytest.mark.parametrize("said", [None, "", 7, ["x"]])
async def test_only_words_are_a_shortage(tmp_path, said):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says({"desired": 2, "ready": 1, "short": said})]
        assert (await provider.read()).short == ""
        api.says = [Says({"desired": 2, "ready": 1, "short": "no wafers left"})]
        assert (await provider.read()).short == "no wafers left"


# --- orders --------------------------------------------------------------------------------


async def test_an_order_is_filled_in_as_json_and_url(tmp_path):
    order = """{url: "/p/{name}?by={name}", headers: {X-By: "a {name}"},
      body: {spec: {replicas: "{count}", of: ["{name}", 1], note: "{count} by {key}"}}}"""
    changes = (
        ('{url: /pool, body: {count: "{count}"}}', order),
        ("reason: /why", "parameters: {name: {}}"),
    )
    async with small_api(tmp_path, "", *changes, name='a/b "&?') as (provider, api):
        await provider.set_replicas(3, key="k1")
    (asked,) = api.asked
    assert asked.method == "PUT"
    assert asked.path == "/p/a%2Fb%20%22%26%3F?by=a%2Fb%20%22%26%3F"
    assert asked.headers["x-by"] == 'a a/b "&?'
    wanted = {"spec": {"replicas": 3, "of": ['a/b "&?', 1], "note": "3 by k1"}}
    assert json.loads(asked.body) == wanted


async def test_an_order_may_stand_in_its_address_alone(tmp_path):
    change = (
        '{url: /pool, body: {count: "{count}"}}',
        "{url: '/pool?n={count}&by={key}', drain: go}",
    )
    async with small_api(tmp_path, "", change) as (provider, api):
        await provider.set_replicas(3, key="a/b")
        await provider.set_replicas(2, key="c", drain=("r-1",))
    assert [(asked.path, asked.body) for asked in api.asked] == [
        ("/pool?n=3&by=a%2Fb", b""),
        ("/pool?n=2&by=c", b'{"go": ["r-1"]}'),
    ]


async def test_a_date_is_sent_as_it_is_written(tmp_path):
    change = ('"{count}"}', '"{count}", until: 2026-01-31}')
    async with small_api(tmp_path, "", change) as (provider, api):
        await provider.set_replicas(3, key="a")
    assert json.loads(api.asked[0].body) == {"count": 3, "until": "2026-01-31"}


async def test_names_to_drain_are_sent_where_there_are_any(tmp_path):
    change = ('body: {count: "{count}"}', 'body: {count: "{count}"}, drain: evict')
    async with small_api(tmp_path, "", change) as (provider, api):
        await provider.set_replicas(3, key="a", drain=("r-1", "r-2"))
        await provider.set_replicas(4, key="b")
    assert [json.loads(asked.body) for asked in api.asked] == [
        {"count": 3, "evict": ["r-1", "r-2"]},
        {"count": 4},
    ]


async def test_an_order_rests_on_the_etag_that_was_read_last(tmp_path):
    change = ('"{count}"}', '"{count}"}, precondition_header: If-Match')
    async with small_api(tmp_path, "", change) as (provider, api):
        api.says = [Says(headers={"etag": f'"{n}"'}) for n in (1, 2)] + [Says({})]
        await provider.read()
        await provider.read()
        await provider.set_replicas(3, key="a")
        assert api.asked[-1].headers["if-match"] == '"2"'
        # What was read before that order is no more: the next one looks again.
        api.says = [Says(headers={"etag": '"3"'}), Says({"why": "changed"}, 412)]
        with pytest.raises(Conflict, match="changed"):
            await provider.set_replicas(4, key="b")
        assert [a.method for a in api.asked] == ["GET", "GET", "PUT", "GET", "PUT"]
        assert api.asked[-1].headers["if-match"] == '"3"'


async def test_an_api_without_etags_is_asked_without_precondition(tmp_path):
    change = ('"{count}"}', '"{count}"}, precondition_header: If-Match')
    async with small_api(tmp_path, "", change) as (provider, api):
        await provider.set_replicas(3, key="a")
        assert "if-match" not in api.asked[-1].headers


@pytest.mark.parametrize(("answer", "error"), [({"got": 2}, NoCapacity), ({}, Unreachable)])
async def test_a_success_that_grants_less_is_told(tmp_path, answer, error):
    change = ('"{count}"}', '"{count}"}, granted: /got')
    async with small_api(tmp_path, "", change) as (provider, api):
        api.says = [Says({"got": 3}), Says(answer)]
        await provider.set_replicas(3, key="a")
        with pytest.raises(error) as caught:
            await provider.set_replicas(5, key="b")
        assert getattr(caught.value, "granted", 2) == 2


# --- errors --------------------------------------------------------------------------------

RULES = """\
errors:
  - {status: [400, 409], at: /code, is: SOLD_OUT, means: no_capacity, granted: /left}
  - {status: [400], at: /code, is: 1, means: gone}
  - {status: [200], at: /paused, is: true, means: conflict}
  - {status: [400], contains: come back later, means: throttled, retry_after: /seconds}
  - {status: [418], means: unauthorised}
  - {status: [419], means: unreachable}
"""


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (Says({"code": "SOLD_OUT"}, 409), NoCapacity),
        (Says({"code": "SOLD_OUT"}, 410), Gone),
        (Says({"code": 1}, 400), Gone),
        (Says({"code": True}, 400), Invalid),
        (Says({"code": "1"}, 400), Invalid),
        (Says({"desired": 1, "ready": 1, "paused": True}), Conflict),
        (Says(b"do come back later", 400), Throttled),
        (Says(b"teapot", 418), Unauthorised),
        (Says({}, 419), Unreachable),
        (Says({"code": "OTHER"}, 409), Conflict),
        (Says({}, 412), Conflict),
        (Says({}, 401), Unauthorised),
        (Says({}, 403), Unauthorised),
        (Says({}, 404), Gone),
        (Says({}, 410), Gone),
        (Says({}, 422), Invalid),
        (Says({}, 429), Throttled),
        (Says({}, 500), Unreachable),
        (Says({}, 503), Unreachable),
    ],
)
@pytest.mark.parametrize("operation", ["read", "set"])
async def test_an_answer_means_what_the_file_says_or_what_http_says(
    tmp_path, says, error, operation
):
    async with small_api(tmp_path, RULES) as (provider, api):
        api.says = [says, says]
        with pytest.raises(CallError) as caught:
            await (provider.read() if operation == "read" else provider.set_replicas(3, key="a"))
        assert type(caught.value) is error
        assert "/pool" in str(caught.value)


@pytest.mark.parametrize(("left", "granted"), [(4, 4), (None, None), ("4", None), (-1, None)])
async def test_a_stockout_says_what_was_granted_if_the_api_does(tmp_path, left, granted):
    async with small_api(tmp_path, RULES) as (provider, api):
        api.says = [Says({"code": "SOLD_OUT", "left": left, "why": "no wafers"}, 409)]
        with pytest.raises(NoCapacity, match="no wafers") as caught:
            await provider.set_replicas(6, key="a")
        assert caught.value.granted == granted


@pytest.mark.parametrize(
    ("says", "seconds"),
    [
        (Says({"seconds": 7.5, "x": "come back later"}, 400), 7.5),
        (Says({"seconds": 7, "x": "come back later"}, 400, {"retry-after": "0"}), 0.0),
        (Says({"seconds": "7", "x": "come back later"}, 400), None),
        (Says({}, 429, {"retry-after": "12"}), 12.0),
        (Says({}, 503, {"retry-after": "3"}), 3.0),
    ],
)
async def test_patience_is_asked_for_by_header_or_pointer(tmp_path, says, seconds):
    async with small_api(tmp_path, RULES) as (provider, api):
        api.says = [says]
        with pytest.raises(Throttled) as caught:
            await provider.read()
        assert caught.value.retry_after_s == seconds


async def test_a_reason_is_quoted_in_one_bounded_line(tmp_path):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says(b"no\n\n  such\tpool " + b"x" * 5000, 404), Says({}, 404)]
        with pytest.raises(Gone) as caught:
            await provider.read()
        assert "no such pool xxx" in str(caught.value)
        assert len(str(caught.value)) < 500


# --- what answers there is not trusted -----------------------------------------------------


@pytest.mark.parametrize("operation", ["read", "set"])
async def test_a_redirect_takes_nothing_to_another_host(tmp_path, monkeypatch, operation):
    monkeypatch.setenv("API_TOKEN", "t0ken-for-one-host")
    async with (
        small_api(tmp_path / "..", "") as (_, other),
        small_api(tmp_path, "auth: {bearer: {env: API_TOKEN}}") as (provider, api),
    ):
        api.says = [Says({}, 307, {"location": "http://127.0.0.1:1/x"})]
        with pytest.raises(Invalid, match="HTTP 307"):
            await (provider.read() if operation == "read" else provider.set_replicas(3, key="a"))
        assert other.asked == []
        assert len(api.asked) == 1


@pytest.mark.parametrize("size", [connection.LARGEST + 1, 5 * connection.LARGEST])
async def test_an_answer_that_is_too_large_is_refused(tmp_path, size):
    async with small_api(tmp_path) as (provider, api):
        head = b'{"desired": 1, "ready": 1, "more": "'
        api.says = [Says(head + b"x" * (size - len(head) - 2) + b'"}')]
        with pytest.raises(Unreachable, match="larger than"):
            await provider.read()
        api.says = [Says(head + b"x" * (connection.LARGEST - len(head) - 2) + b'"}')]
        assert (await provider.read()).ready == 1


async def test_a_compressed_answer_is_refused(tmp_path):
    async with small_api(tmp_path) as (provider, api):
        api.says = [Says(b"\x1f\x8b", headers={"content-encoding": "gzip"})]
        with pytest.raises(Unreachable, match="compressed"):
            await provider.read()
        assert api.asked[0].headers["accept-encoding"] == "identity"


async def test_a_silent_api_is_told_before_the_calls_own_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.2)
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        provider = provider_of(tmp_path, FILE.format(url=f"http://127.0.0.1:{port}"))
        with pytest.raises(Unreachable, match=r"GET http://127.0.0.1:\d+/pool: no whole answer"):
            await provider.read()
        await provider.close()
        await left.wait()


async def test_what_cannot_be_an_address_or_a_header_is_told(tmp_path):
    text = FILE.format(url="http://api.test:{zone}") + "parameters: {zone: {}}"
    provider = provider_of(tmp_path, text, zone="eu")
    with pytest.raises(Invalid, match="Invalid port: 'eu'; correct the described file"):
        await provider.read()
    changes = (("/pool, desired", "/pool, headers: {X-Zone: '{zone}'}, desired"),)
    more = "parameters: {zone: {}}"
    async with small_api(tmp_path, more, *changes, zone="a\r\nX-Admin: 1") as (provider, api):
        with pytest.raises(Invalid, match="no request can be made"):
            await provider.read()
        assert api.asked == []


# --- a look --------------------------------------------------------------------------------


async def test_a_look_reads_and_orders_nothing(tmp_path):
    async with small_api(tmp_path) as (provider, api):
        (finding,) = await provider.inspect()
        assert finding.level is Level.OK
        assert [asked.method for asked in api.asked] == ["GET"]


async def test_a_look_warns_of_credentials_in_the_clear(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "t0ken-in-the-clear")
    more = "auth: {bearer: {env: API_TOKEN}}"
    async with small_api(tmp_path, more) as (provider, _):
        assert len(await provider.inspect()) == 1
    async with small_api(tmp_path, more, ("127.0.0.1", "localhost.localdomain")) as (provider, _):
        monkeypatch.setattr("socket.getaddrinfo", _loopback)
        assert [finding.level for finding in await provider.inspect()] == [Level.OK, Level.WARNING]


def _loopback(_host, port, *_args, **_kwargs):
    return [(2, 1, 6, "", ("127.0.0.1", port))]


def test_a_file_that_is_not_there_or_wrong_is_told(tmp_path):
    good = FILE.format(url="http://api.test")
    with pytest.raises(SettingsError, match=r"small\.yaml: read: .*write ready"):
        provider_of(tmp_path, good.replace(", ready: /ready", ""))
    placed = good.replace("set: {url: /pool", "set: {url: '/{zone}'")
    with pytest.raises(SettingsError, match=r"small\.yaml: set\.url: nothing fills `\{zone\}`"):
        provider_of(tmp_path, placed)
    with pytest.raises(SettingsError, match=r"http\.zone: Field required"):
        provider_of(tmp_path, placed + "parameters: {zone: {}}")
    with pytest.raises(SettingsError, match=r"small\.yaml: while parsing"):
        provider_of(tmp_path, "a: [")
    with pytest.raises(SettingsError, match=r"other\.yaml: .*Correct the pool's `ref`"):
        HttpProvider(rule("http", {"ref": "other"}), Settings(rules=tmp_path))


def test_described_files_may_lie_elsewhere_and_end_otherwise(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "small.yml").write_text(FILE.format(url="http://api.test"))
    settings = Settings(rules=tmp_path / "chat.yaml", apis=tmp_path / "elsewhere")
    HttpProvider(rule("http", {"ref": "small"}), settings)
    with pytest.raises(SettingsError, match=str(tmp_path / "apis")):
        HttpProvider(rule("http", {"ref": "small"}), settings.model_copy(update={"apis": None}))
