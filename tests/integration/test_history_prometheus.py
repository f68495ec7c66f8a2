"""Past demand from Prometheus: what is asked, how its answers are read, and what goes wrong."""

import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from testenv.ports import free_port
from tests.integration.prometheus_server import NONE, Server, at_ends, matrix, serving
from tests.unit.history_bench import T0

from poolwright.errors import HistoryError
from poolwright.forecasting.season import BIN_S
from poolwright.history import Prometheus
from poolwright.settings import HistorySettings

BAD = '{"status":"error","errorType":"bad_data","error":"1:10: parse error: unclosed left parenthesis"}'  # fmt: skip  # noqa: E501
TWO = (
    '{"status":"success","data":{"resultType":"matrix","result":['
    '{"metric":{"finished_reason":"length","model_name":"chat"},"values":[[1795241400,"2.02"]]},'
    '{"metric":{"finished_reason":"stop","model_name":"chat"},"values":[[1795241400,"4.04"]]}]}}'
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def asking(server: Server, **settings: object) -> Prometheus:
    return Prometheus(server.url + "/", HistorySettings.model_validate(settings))


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
