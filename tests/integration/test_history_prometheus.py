"""Past demand from a server that speaks Prometheus' query_range, and the seasons it warms.

The server is ours, over real HTTP: its answers are those that Prometheus 2.42 gave to the same
queries, errors included.
"""

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from rich.console import Console
from testenv.ports import free_port
from tests.unit.test_history import RULES, T0, said
from typer.testing import CliRunner

from poolwright import rulefiles
from poolwright.backtest.command import BacktestOptions, run_backtest
from poolwright.cli.commands import app
from poolwright.clock import VirtualClock
from poolwright.decision import CoreState, load_state, new_state
from poolwright.decision.state import dump_state
from poolwright.errors import HistoryError
from poolwright.forecasting.season import BIN_S
from poolwright.history import Prometheus
from poolwright.history.warming import keep_warm, warm
from poolwright.model.rule import RuleSet
from poolwright.record.journal import Journal
from poolwright.settings import HistorySettings, Settings

Pairs = list[tuple[float, str]]
BAD = '{"status":"error","errorType":"bad_data","error":"1:10: parse error: unclosed left parenthesis"}'  # fmt: skip  # noqa: E501
TWO = (
    '{"status":"success","data":{"resultType":"matrix","result":['
    '{"metric":{"finished_reason":"length","model_name":"chat"},"values":[[1795241400,"2.02"]]},'
    '{"metric":{"finished_reason":"stop","model_name":"chat"},"values":[[1795241400,"4.04"]]}]}}'
)
NONE = '{"status":"success","data":{"resultType":"matrix","result":[]}}'


def matrix(pairs: Pairs) -> str:
    result = [{"metric": {}, "values": pairs}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@dataclass
class Server:
    """Answers with what `answer` makes of a query's parameters: the status and the body."""

    url: str = ""
    answer: Callable[[dict[str, str]], tuple[int, str]] = lambda _: (200, NONE)
    asked: list[dict[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """A hanging answer waits for it."""


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            assert parts.path == "/api/v1/query_range"
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            it.asked.append(parameters)
            status, body = it.answer(parameters)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Threads(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that has gone is no error of the server's."""

    http = Threads(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield it
    finally:
        it.go_on.set()
        http.shutdown()
        thread.join()
        http.server_close()


def asking(server: Server, **settings: object) -> Prometheus:
    return Prometheus(server.url + "/", HistorySettings.model_validate(settings))


def at_ends(first: float, *values: str, step_s: int = BIN_S) -> Pairs:
    """A row's value stands at its end."""
    return [(first + (n + 1) * step_s, value) for n, value in enumerate(values)]


# --- one server, one query -----------------------------------------------------------------


def test_the_query_names_the_service_and_a_row_is_the_time_before_its_point(server) -> None:
    server.answer = lambda _: (200, matrix(at_ends(T0, "1.5", "2.5", "3.5")))
    record = asking(server).requests("chat", T0, 3, BIN_S)
    assert server.asked == [
        {
            "query": 'sum(rate(vllm:request_success_total{model_name="chat"}[600s]))',
            "start": str(int(T0) + 600),
            "end": str(int(T0) + 1800),
            "step": "600",
        }
    ]
    assert (record.start, record.step_s) == (T0, 600)
    assert record.requests_per_s.tolist() == [1.5, 2.5, 3.5]


def test_gaps_nan_and_what_is_no_number_of_requests_stay_unknown(server) -> None:
    pairs = at_ends(T0, "1.0", "NaN", "+Inf", "-3", "0", "many", "7.0", "8.0")
    del pairs[6]
    pairs.append((T0 + 99 * BIN_S, "5.0"))
    server.answer = lambda _: (200, matrix(pairs))
    found = asking(server).requests("chat", T0, 9, BIN_S).requests_per_s
    unknown = float("nan")
    expected = [1.0, unknown, unknown, unknown, 0.0, unknown, unknown, 8.0, unknown]
    assert np.array_equal(found, expected, equal_nan=True)


def test_no_series_is_nothing_known(server) -> None:
    server.answer = lambda _: (200, NONE)
    assert np.isnan(asking(server).requests("chat", T0, 3, BIN_S).requests_per_s).all()


def test_a_mean_request_is_tokens_over_requests(server) -> None:
    values = {"request_success": "2.0", "prompt_tokens": "1600.0", "generation": "300.0"}

    def answer(asked: dict[str, str]) -> tuple[int, str]:
        value = next(value for name, value in values.items() if name in asked["query"])
        quiet = "0.0" if name_is_requests(asked) else value
        return 200, matrix(at_ends(T0, value, quiet, step_s=120))

    def name_is_requests(asked: dict[str, str]) -> bool:
        return "request_success" in asked["query"]

    server.answer = answer
    record = asking(server).demand("chat", T0, 2, 120)
    assert {asked["step"] for asked in server.asked} == {"120"}
    assert all("[120s]" in asked["query"] for asked in server.asked)
    assert record.requests_per_s.tolist() == [2.0, 0.0]
    assert (record.input_tokens[0], record.output_tokens[0]) == (800.0, 150.0)
    assert np.isnan([record.input_tokens[1], record.output_tokens[1]]).all()


def test_a_name_cannot_leave_its_quotes(server) -> None:
    asking(server).requests('a"} or {b="\\', T0, 1, BIN_S)
    assert '{model_name="a\\"} or {b=\\"\\\\"}' in server.asked[0]["query"]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, BAD, "HTTP Status Code 400 .*unclosed left parenthesis"),
        (503, "overloaded", "HTTP Status Code 503"),
        (200, TWO, r"2 series; wrap it in sum\(\.\.\.\)"),
        (200, "<html>a proxy</html>", "Expecting value"),
        (200, '{"status":"success"}', "not Prometheus' answer .*data"),
        (200, '["a", "list"]', "not Prometheus' answer"),
        (200, NONE.replace("[]", '[{"value": [1, "2"]}]'), "the answer is no matrix"),
    ],
)
def test_what_goes_wrong_is_told_with_the_server_and_the_query(server, status, body, said) -> None:
    server.answer = lambda _: (status, body)
    with pytest.raises(
        HistoryError, match=rf"(?s)^{server.url}: .*{said}.*the query was sum\(rate"
    ):
        asking(server).requests("chat", T0, 3, BIN_S)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    url = f"http://us:secret@127.0.0.1:{free_port()}/prometheus"
    with pytest.raises(HistoryError, match=r"^http://127\.0\.0\.1:\d+/prometheus: ") as caught:
        Prometheus(url, HistorySettings()).requests("chat", T0, 3, BIN_S)
    assert "secret" not in str(caught.value)


def test_a_server_that_hangs_is_given_up(server) -> None:
    server.answer = lambda _: (server.go_on.wait(30), (200, NONE))[1]
    begin = time.monotonic()
    with pytest.raises(HistoryError, match=r"Read timed out. \(read timeout=0.2\)"):
        asking(server, timeout_s=0.2).requests("chat", T0, 3, BIN_S)
    assert time.monotonic() - begin < 5.0


def test_without_the_extra_the_way_to_get_it_is_told(server, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_api_client", None)
    with pytest.raises(HistoryError, match=r"pip install 'poolwright\[prometheus\]'"):
        asking(server).requests("chat", T0, 3, BIN_S)


# --- what is warmed ------------------------------------------------------------------------


@dataclass
class Started:
    """What `warm` asks of the daemon."""

    settings: Settings
    clock: VirtualClock
    state: CoreState
    rules: RuleSet

    @property
    def season(self):
        return self.state.learners["chat"].demand.season

    def means(self, first: float, count: int) -> list[float]:
        return [float(self.season.means[int(first // BIN_S + n) % 2016]) for n in range(count)]


NOW = T0 + 3 * BIN_S + 60.0


def started(folder: Path, server: Server | None = None, **history: object) -> Started:
    url = None if server is None else server.url
    settings = Settings(data=folder, history={"prometheus_url": url, "days": 0.05, **history})
    rules = rulefiles.load_sources({"chat.yaml": RULES})
    Journal(folder / "journal.db").close()
    return Started(settings, VirtualClock(NOW), new_state(), rules)


def recorded(folder: Path, per_s: float, first: float, end: float) -> None:
    journal = Journal(folder / "journal.db")
    words = [said(at, per_s) for at in np.arange(first, end, 30.0).tolist()]
    journal.record_tick(T0, words, RuleSet("r1", (), {}))
    journal.close()


async def test_prometheus_warms_what_is_unknown_and_ends_before_now(server, tmp_path) -> None:
    def answer(asked: dict[str, str]) -> tuple[int, str]:
        ends = range(int(asked["start"]), int(asked["end"]) + 1, BIN_S)
        return 200, matrix([(float(at), "4.0") for at in ends])

    server.answer = answer
    daemon = started(tmp_path, server)
    await warm(daemon)
    assert daemon.season.newest == T0 // BIN_S + 2
    # A whole number of the seventy minutes that were asked for, none of them in the future.
    assert float(server.asked[0]["end"]) == T0 + 3 * BIN_S
    assert int((~np.isnan(daemon.season.means)).sum()) == 7
    assert daemon.means(T0 - BIN_S, 4) == [4.0] * 4


async def test_the_journal_comes_first_and_prometheus_fills_the_rest(server, tmp_path) -> None:
    server.answer = lambda _: (200, matrix(at_ends(T0 - BIN_S, "4.0", "4.0", "NaN", "4.0")))
    daemon = started(tmp_path, server)
    recorded(tmp_path, 8.0, 600.0, 1230.0)
    await warm(daemon)
    assert daemon.means(T0 - BIN_S, 4) == [4.0, 4.0, 8.0, 4.0]


async def test_what_was_measured_live_is_kept_and_no_journal_is_read_for_it(
    server, tmp_path
) -> None:
    server.answer = lambda _: (200, matrix(at_ends(T0 - BIN_S, "4.0", "4.0", "4.0", "4.0")))
    before = started(tmp_path, server)
    await warm(before)
    before.season.put(int(T0 // BIN_S), 9.0)
    before.season.means[int(T0 // BIN_S + 1) % 2016] = np.nan
    recorded(tmp_path, 8.0, 0.0, 1830.0)
    daemon = started(tmp_path, server)
    daemon.state = load_state(dump_state(before.state))
    await warm(daemon)
    assert daemon.means(T0 - BIN_S, 4) == [4.0, 9.0, 4.0, 4.0]


async def test_failures_are_warnings(server, tmp_path, caplog) -> None:
    caplog.set_level(logging.WARNING, "poolwright")
    server.answer = lambda _: (503, "overloaded")
    daemon = started(tmp_path, server)
    (tmp_path / "journal.db").write_bytes(b"no journal" * 1000)
    await warm(daemon)
    assert daemon.season.newest is None
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("past demand cannot be read from the journal: ")
    assert second.startswith(f"past demand of chat cannot be read from Prometheus: {server.url}: ")


async def test_a_hanging_server_neither_stops_the_loop_nor_waits_for_ever(
    server, tmp_path, caplog
) -> None:
    caplog.set_level(logging.WARNING, "poolwright")
    hanging = threading.Event()

    def answer(_: dict[str, str]) -> tuple[int, str]:
        hanging.set()
        server.go_on.wait(30)
        return 200, NONE

    server.answer = answer
    daemon = started(tmp_path, server, timeout_s=0.5)
    warming = asyncio.create_task(warm(daemon))
    turns = 0
    while not warming.done():
        turns += 1
        await asyncio.sleep(0.005)
    await warming
    assert hanging.is_set()
    # The loop went on turning while the thread waited.
    assert turns > 20
    assert "from Prometheus" in caplog.text


async def test_a_service_that_left_meanwhile_is_left_alone(server, tmp_path) -> None:
    daemon = started(tmp_path, server)

    def answer(_: dict[str, str]) -> tuple[int, str]:
        daemon.state = new_state()
        return 200, matrix(at_ends(T0, "4.0"))

    server.answer = answer
    await warm(daemon)
    assert daemon.state.learners == {}


async def test_without_a_server_nothing_is_asked_and_the_loop_goes_on(tmp_path) -> None:
    daemon = started(tmp_path)
    recorded(tmp_path, 8.0, 0.0, 1830.0)
    loop = asyncio.create_task(keep_warm(daemon))
    async with asyncio.timeout(10):
        while not daemon.state.learners or daemon.season.newest is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    # The daemon ends when one of its loops does.
    done, _ = await asyncio.wait({loop}, timeout=0.05)
    assert not done
    loop.cancel()
    assert daemon.means(T0, 3) == [8.0] * 3


# --- played --------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path) -> Path:
    file = tmp_path / "chat.yaml"
    file.write_text(RULES)
    return file


def test_what_prometheus_kept_is_played(server, rules, capsys) -> None:
    def answer(asked: dict[str, str]) -> tuple[int, str]:
        value = "1.0" if "request_success" in asked["query"] else "200.0"
        at = range(int(asked["start"]), int(asked["end"]) + 1, 120)
        # Two minutes were not scraped.
        return 200, matrix([(float(t), value) for t in at if t != at[2]])

    server.answer = answer
    err = Console(file=sys.stderr, width=200)
    options = BacktestOptions(
        (), rules, against="none", jobs=1, prometheus=server.url, days=0.01
    )  # fmt: skip
    assert run_backtest(options, Console(quiet=True), err, as_json_text=True) == 0
    told = capsys.readouterr()
    (trace,) = json.loads(told.out)["traces"]
    assert trace["trace"] == "prometheus"
    assert trace["contenders"][0]["requests"] == pytest.approx(6 * 120, rel=0.2)
    assert "chat in Prometheus: 0.0 h of which nothing is known are left out (gaps: 1)" in told.err


def test_a_record_says_nothing_of_classes(server, rules, capsys) -> None:
    rules.write_text(RULES.replace("95%}", "95%}\n  batch: {e2e: 10m, attainment: 90%}", 1))
    server.answer = lambda _: (200, NONE)
    options = BacktestOptions((), rules, prometheus=server.url)
    err = Console(file=sys.stderr, width=200)
    with pytest.raises(HistoryError, match="chat in Prometheus: it knows of no requests"):
        run_backtest(options, Console(quiet=True), err)
    server.answer = lambda asked: (200, matrix([(float(asked["end"]), "1.0")]))
    options = BacktestOptions((), rules, against="none", jobs=1, prometheus=server.url)
    run_backtest(options, Console(quiet=True), err)
    assert "does not say which class a request is of; all are chat" in capsys.readouterr().err


def test_a_journal_is_played(tmp_path, rules) -> None:
    recorded(tmp_path, 2.0, 0.0, 630.0)
    arguments = ["--rules", str(rules), "--against", "none", "--jobs", "1", "--json"]
    done = CliRunner().invoke(app, ["backtest", str(tmp_path / "journal.db"), *arguments])
    assert done.exit_code == 0, done.output
    (trace,) = json.loads(done.stdout)["traces"]
    assert trace["trace"] == "journal.db"
    assert trace["contenders"][0]["requests"] == pytest.approx(2 * 600, rel=0.2)
