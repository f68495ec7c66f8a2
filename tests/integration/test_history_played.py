"""Records of the past that `backtest` plays: Prometheus' and journals."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tests.integration.prometheus_server import NONE, Server, matrix, serving
from tests.unit.history_bench import RULES, recorded
from typer.testing import CliRunner

from poolwright.backtest.command import BacktestOptions, run_backtest
from poolwright.cli.commands import app
from poolwright.errors import HistoryError


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


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
